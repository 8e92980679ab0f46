import Bytes
import CLinux
import Glibc
import HTTP
import Reactor
import TLS
import Testing
import Transport

@Suite("HTTP/1.1 client connection", .timeLimit(.minutes(1)))
struct HTTP1ClientTests {
    @Test("a request arrives as it was made, and the answer as it was sent, however it is framed and cut")
    func exchange() throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port)
        let body = Array("the body".utf8)
        let first = pool.start("/v1/x?y", method: .post, body: body)
        let peer = try upstream.accept()
        #expect(peer.request() == "POST /v1/x?y HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\n")
        #expect(peer.take(8) == body)
        let text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3;x\r\ntwo\r\n0\r\n\r\n"
        for byte in Array(text.utf8) { peer.send([byte]) }
        #expect(pool.finish(first) == ["head 200", "end"])
        #expect(pool.run { first.text } == "onetwo")
        let second = pool.start()
        peer.serve("three")
        pool.finish(second)
        #expect(pool.run { second.text } == "three" && second.call.usedIdleConnection)
        let third = pool.start()
        peer.request()
        peer.send("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nuntil")
        peer.send(" the end")
        peer.close()
        #expect(pool.finish(third) == ["head 200", "end"])
        #expect(pool.run { third.text } == "until the end")
        #expect(upstream.isAlone)
        pool.stop()
    }

    @Test("bodies without content: 204, 304, HEAD, length zero")
    func noBody() throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port)
        var peer: Client?
        for (method, head) in [
            (HTTP.Method.get, "204 No Content\r\n"), (.get, "304 Not Modified\r\ncontent-length: 5\r\n"),
            (.head, "200 OK\r\ncontent-length: 5\r\n"), (.get, "200 OK\r\ncontent-length: 0\r\n"),
        ] {
            let call = pool.start(method: method)
            let connection = try peer ?? upstream.accept()
            peer = connection
            connection.request()
            connection.send("HTTP/1.1 \(head)\r\n")
            #expect(pool.finish(call).last == "end")
            #expect(pool.run { call.body.isEmpty })
        }
        #expect(upstream.isAlone)
        pool.stop()
    }

    @Test("a large request and a large answer come whole, also through TLS", arguments: [false, true])
    func large(_ isSecure: Bool) throws {
        let contexts = try TestCertificate.contexts([.http1])
        let upstream = try FakeUpstream(tls: isSecure ? contexts.server : nil)
        let pool = try TestPool(port: upstream.port) { if isSecure { $0.tls = contexts.client } }
        let body = (0..<5_000_000).map { UInt8(truncatingIfNeeded: $0 &* 13) }
        let call = pool.start("/", method: .post, body: body)
        let peer = try upstream.accept()
        peer.request()
        let got = peer.take(body.count)
        #expect(got == body)
        #expect(pool.run { call.call.isRequestSent })
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: \(body.count)\r\n\r\n")
        peer.send(got)
        pool.finish(call)
        #expect(pool.run { call.body } == body)
        pool.stop()
    }

    @Test("cancelling closes the connection at once, whatever the call waits for", arguments: 0..<4)
    func cancel(_ stage: Int) throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port)
        let call = pool.start()
        let peer = try upstream.accept()
        peer.request()
        if stage >= 1 {
            peer.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01")
            pool.reactor.wait(for: "two bytes") { _ in call.body.count == 2 }
        }
        if stage == 2 { pool.run { call.call.pause() } }
        if stage == 3 { pool.reactor.run { _ in call.onBody = { $0.call.cancel() } } }
        if stage == 3 { peer.send("2345") } else { pool.run { call.call.cancel() } }
        #expect(peer.isClosedByPeer)
        #expect(pool.run { !call.call.isActive && !call.isDone })
        #expect(pool.connectionCount == 0)
        pool.stop()
    }

    @Test("cancelling in responseHead and starting the same call again works")
    func retryFromHead() throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port)
        let call = pool.start { call in
            call.onHead = {
                guard $0.status == 503 else { return }
                $0.call.cancel()
                pool.connections.start($0.call)
            }
        }
        let peer = try upstream.accept()
        peer.request()
        peer.send("HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy")
        try upstream.accept().serve()
        #expect(pool.finish(call) == ["head 503", "head 200", "end"])
        #expect(pool.run { call.text } == "ok")
        pool.stop()
    }

    @Test("a consumer that pauses stops the upstream; what was sent comes whole when it goes on", arguments: [0, 1, 2])
    func backPressure(_ framing: Int) throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port)
        let call = pool.start { $0.onBody = { $0.call.pause() } }
        let peer = try upstream.accept()
        peer.request()
        let total = 30_000_000
        let bytes = [UInt8](repeating: 120, count: total)
        switch framing {
        case 0: peer.send("HTTP/1.1 200 OK\r\ncontent-length: \(total)\r\n\r\n")
        case 1: peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\(String(total, radix: 16))\r\n")
        default: peer.send("HTTP/1.1 200 OK\r\n\r\n")
        }
        var sent = 0
        pool.reactor.wait(for: "the upstream to be stopped") { _ in
            let count = peer.sendAvailable(Array(bytes[sent..<min(sent + 1_000_000, total)]))
            sent += count
            return count == 0
        }
        #expect(sent < total)
        #expect(pool.run { call.body.count } <= 65536)
        // Ends while the consumer still waits.
        if framing == 2 {
            peer.close()
            pool.run {}
            #expect(pool.run { !call.isDone })
        }
        pool.reactor.run { _ in
            call.onBody = { _ in }
            call.call.resume()
        }
        if framing == 2 {
            #expect(pool.finish(call) == ["head 200", "end"])
            #expect(pool.run { call.body.count } == sent)
        } else {
            peer.send(Array(bytes[sent...]))
            if framing == 1 { peer.send("\r\n0\r\n\r\n") }
            #expect(pool.finish(call) == ["head 200", "end"])
            #expect(pool.run { call.body.count } == total)
        }
        pool.stop()
    }

    @Test("a body that ends with the connection is whole though the end overtakes a paused consumer")
    func endOvertakes() throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port)
        let call = pool.start { $0.onBody = { $0.call.pause() } }
        let peer = try upstream.accept()
        peer.request()
        peer.send("HTTP/1.1 200 OK\r\n\r\none")
        pool.reactor.wait(for: "the first") { _ in call.text == "one" }
        peer.send("two")
        peer.close()
        // Rounds in which the end is met.
        for _ in 0..<3 { pool.run {} }
        #expect(pool.run { !call.isDone })
        pool.reactor.run { _ in
            call.onBody = { _ in }
            call.call.resume()
        }
        #expect(pool.finish(call) == ["head 200", "end"])
        #expect(pool.run { call.text } == "onetwo")
        pool.stop()
    }

    @Test("a call that pauses on its last bytes leaves a connection that reads")
    func pausedAtEnd() throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port)
        let first = pool.start { $0.onBody = { $0.call.pause() } }
        let peer = try upstream.accept()
        peer.serve()
        #expect(pool.finish(first) == ["head 200", "end"])
        let second = pool.start()
        peer.serve()
        #expect(pool.finish(second) == ["head 200", "end"])
        #expect(upstream.isAlone)
        pool.stop()
    }

    @Test("interim answers are skipped")
    func interim() throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port)
        let call = pool.start()
        let peer = try upstream.accept()
        peer.request()
        peer.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        #expect(pool.finish(call) == ["head 200", "end"])
        pool.stop()
    }

    @Test("an answer before the request is sent whole is heard, though the body is given up", arguments: [false, true])
    func earlyAnswer(_ releasesBody: Bool) throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port)
        let call = pool.start("/", method: .post, body: [UInt8](repeating: 120, count: 30_000_000)) {
            // As the owner of a body may do when the answer has begun.
            $0.onHead = { if releasesBody, $0.call.isRequestSent { $0.call.body.bytes.removeAll() } }
        }
        let peer = try upstream.accept()
        peer.request()
        peer.send("HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\n")
        pool.reactor.wait(for: "the head") { _ in call.status == 413 }
        // More of the body leaves after the answer has begun.
        #expect(peer.take(10_000_000).count == 10_000_000)
        peer.send("no")
        #expect(pool.finish(call) == ["head 413", "end"])
        _ = peer.takeAll()
        #expect(pool.connectionCount == 0)
        pool.stop()
    }
}
