package import Bytes
package import HTTP
internal import HTTP2
package import Reactor

/// Where a request came from.
package struct Origin: Sendable {
    /// The client's address; `nil` if the kernel did not tell.
    package let peer: SocketAddress?
    package let isTLS: Bool
    /// The client's address without its port, for logs; empty if it is not known.
    package let peerText: [UInt8]

    /// Made once for a connection.
    package init(peer: SocketAddress?, isTLS: Bool) {
        self.peer = peer
        self.isTLS = isTLS
        peerText = peer.map { Array($0.host.utf8) } ?? []
    }
}

/// Why a request ended before it was answered.
package enum Abort: Sendable, Equatable {
    /// The client closed the connection or reset the stream.
    case clientGone
    /// The client was too slow: with its body, or in taking the answer.
    case clientStalled
    /// The client broke the protocol in mid-response.
    case protocolError
    /// The transport itself answers the request, with this status: its body is malformed, too large or too slow.
    case refused(status: Int)
    /// We are shutting down.
    case shutdown
}

/// The life of one request, as the layer above sees it. All calls come on the connection's reactor.
package protocol RequestHandler: AnyObject {
    /// The head is complete: `stream.request`. The handler may be used for several requests, one after another.
    func requestHead(_ stream: ServerStream)
    /// The next bytes of the body, valid for the call.
    func requestBody(_ bytes: Span<UInt8>)
    /// The body is complete.
    func requestEnd()
    /// The client has taken what was written; more may follow.
    func responseDrained()
    /// Nothing more can be read or written; not called once the response is finished.
    func requestAborted(_ reason: Abort)
}

/// What a server found wrong before a handler could see the request.
package struct Refusal: Sendable {
    /// 400...505.
    package let status: Int
    /// For the client; a short sentence.
    package let reason: StaticString
    /// Whether a handler was told of it, by `Abort.refused`.
    package internal(set) var isKnownToHandler = false

    package init(status: Int, reason: StaticString) {
        self.status = status
        self.reason = reason
    }
}

/// Makes the handlers of one reactor.
package protocol RequestService: AnyObject {
    /// A handler for the requests of an HTTP/1.1 connection, one after another, or for one HTTP/2 stream.
    func makeHandler(_ origin: Origin) -> any RequestHandler
    /// Takes a handler back that will not be called any more.
    func recycle(_ handler: any RequestHandler)
    /// The head and body with which a refusal is answered.
    func render(_ refusal: Refusal, head: inout ResponseHead, body: inout ByteQueue)
}

/// The answering side of one request: an HTTP/1.1 connection or an HTTP/2 stream.
package enum ServerStream {
    case http1(HTTP1ServerConnection)
    case http2(HTTP2Responder)

    /// The request's head, lent where it lies; unchanged until the response is finished.
    package var request: RequestHead {
        // The cell's owner is the stream's own reference, so that it lives as long as what is lent here.
        unsafeAddress {
            switch self {
            case .http1(let connection): UnsafePointer(connection.requestCell.address)
            case .http2(let responder): UnsafePointer(responder.stream.requestCell.address)
            }
        }
    }

    /// The reactor of the connection.
    package var reactor: Reactor {
        switch self {
        case .http1(let connection): connection.stream.reactor
        case .http2(let responder): responder.connection.stream.reactor
        }
    }

    /// Tells a client that asked to be told that its body is welcome.
    package func sendContinue() {
        switch self {
        case .http1(let connection): connection.sendContinue()
        case .http2(let responder): responder.sendContinue()
        }
    }

    /// Sends the head. `head.framing` says how the body is delimited; a `.none` body ends the response.
    package func respond(_ head: borrowing ResponseHead) {
        switch self {
        case .http1(let connection): connection.respond(head)
        case .http2(let responder): responder.respond(head)
        }
    }

    /// Sends a piece of the body; it is copied.
    package func write(_ bytes: Span<UInt8>) {
        switch self {
        case .http1(let connection): connection.write(bytes)
        case .http2(let responder): responder.write(bytes)
        }
    }

    /// Ends the response. The stream must not be used after this.
    package func finish() {
        switch self {
        case .http1(let connection): connection.finish()
        case .http2(let responder): responder.finish()
        }
    }

    /// Ends the response so that the client sees that it is incomplete. The stream must not be used after this.
    package func abort() {
        switch self {
        case .http1(let connection): connection.abortResponse()
        case .http2(let responder): responder.abort()
        }
    }

    /// Whether the producer should pause until `responseDrained`.
    package var isFull: Bool {
        switch self {
        case .http1(let connection): connection.stream.isFull
        case .http2(let responder): responder.isFull
        }
    }
}
