import Bytes
import HTTP
import Testing

@testable import HTTP2

@Suite struct GoAwayTests {
    @Test("shutdown in two steps loses no request and ends when the last stream does")
    func graceful() throws {
        let (client, server) = (TestClient(), TestServer())
        server.answer = nil
        let first = try #require(client.request()).id
        converse(client, server)
        // A request that is on its way while the notice is.
        let second = try #require(client.request()).id
        let onItsWay = client.produce()
        server.session.shutdownNotice()
        client.receive(server.produce())
        #expect(!client.session.isAcceptingStreams && client.request() == nil)
        server.receive(onItsWay)
        converse(client, server)
        #expect(server.requests == 2)
        #expect(server.session.verdict == .ok)
        for id in [first, second] {
            #expect(client.session.verdict == .ok)
            server.streams[id]?.respond(status: 200, fields: HeaderFields(), endStream: true)
            converse(client, server)
        }
        #expect(client.events.filter { if case .end = $0 { true } else { false } }.count == 2)
        #expect(server.session.verdict == .finished && client.session.verdict == .finished)
    }

    @Test("an idle connection ends at once")
    func idle() {
        let (client, server) = (TestClient(), TestServer())
        converse(client, server)
        server.session.shutdownNotice()
        converse(client, server)
        #expect(server.session.verdict == .finished && client.session.verdict == .finished)
    }

    @Test("the second step can be taken without the client's answer")
    func silentClient() {
        let server = TestServer()
        _ = server.exchange(Wire.greeting)
        server.session.shutdownNotice()
        let notice = SentFrame.parse(server.produce())
        #expect(notice.first { $0.type == 7 }?.payload == Wire.word(0x7FFF_FFFF) + Wire.word(0))
        #expect(server.session.verdict == .ok)
        server.session.goAway()
        let last = SentFrame.parse(server.produce())
        #expect(last.first { $0.type == 7 }?.payload == Wire.word(0) + Wire.word(0))
        #expect(server.session.verdict == .finished)
    }

    @Test("requests above the server's last stream are reported as unprocessed")
    func refused() throws {
        let client = TestClient()
        let ids = try (0..<3).map { _ in try #require(client.request()).id }
        _ = client.produce()
        client.receive(Wire.settings + Wire.goAway(UInt32(ids[0]), 0))
        #expect(
            client.events == [
                .closed(ids[1], code: HTTP2Code.refusedStream, isUnprocessed: true),
                .closed(ids[2], code: HTTP2Code.refusedStream, isUnprocessed: true),
            ]
                || client.events == [
                    .closed(ids[2], code: HTTP2Code.refusedStream, isUnprocessed: true),
                    .closed(ids[1], code: HTTP2Code.refusedStream, isUnprocessed: true),
                ])
        #expect(client.session.streamCount == 1)
        #expect(!client.session.isAcceptingStreams)
        client.session.abandon()
        #expect(client.events.last == .closed(ids[0], code: HTTP2Code.cancel, isUnprocessed: false))
    }

    @Test("requests still in the queue when GOAWAY comes are reported as unprocessed")
    func queued() throws {
        let client = TestClient()
        _ = client.produce()
        let id = try #require(client.request()).id
        client.receive(Wire.settings + Wire.goAway(0, 0))
        _ = client.produce()
        guard case .closed(id, _, isUnprocessed: true) = client.events.last else {
            Issue.record("\(client.events)")
            return
        }
    }

    @Test("a refused stream is reported as unprocessed, and the connection stays")
    func refusedStream() throws {
        let client = TestClient()
        let id = try #require(client.request()).id
        _ = client.produce()
        client.receive(Wire.settings + Wire.reset(UInt32(id), HTTP2Code.refusedStream))
        #expect(client.events == [.closed(id, code: HTTP2Code.refusedStream, isUnprocessed: true)])
        #expect(client.session.isAcceptingStreams)
    }

    @Test("when the connection is lost all streams close; those never sent are unprocessed")
    func abandon() throws {
        let (client, server) = (TestClient(), TestServer())
        server.answer = nil
        let sent = try #require(client.request()).id
        converse(client, server)
        let unsent = try #require(client.request()).id
        client.session.abandon()
        server.session.abandon()
        #expect(Set([sent, unsent]).count == 2)
        #expect(client.events.contains(.closed(sent, code: HTTP2Code.cancel, isUnprocessed: false)))
        #expect(client.events.contains(.closed(unsent, code: HTTP2Code.cancel, isUnprocessed: true)))
        #expect(server.events.last == .closed(sent, code: HTTP2Code.cancel))
        #expect(client.session.isIdle && server.session.isIdle)
        #expect(!client.session.isAcceptingStreams)
    }

    @Test("streams outlive their session harmlessly")
    func orphans() throws {
        var client: TestClient? = TestClient()
        var server: TestServer? = TestServer()
        server?.answer = nil
        let stream = try #require(client?.request())
        converse(try #require(client), try #require(server))
        let served = try #require(server?.streams[stream.id])
        (client, server) = (nil, nil)
        #expect(stream.isClosed && served.isClosed)
        served.respond(status: 200, fields: HeaderFields())
        served.consumed(0)
        stream.reset()
    }

    @Test("the server's limit on streams is respected")
    func peerLimit() throws {
        let client = TestClient()
        #expect(client.session.availableStreams == 100)
        client.receive(Wire.setting(3, 2))
        #expect(client.session.availableStreams == 2)
        _ = try #require(client.request())
        _ = try #require(client.request())
        #expect(client.request() == nil)
        client.receive(Wire.setting(3, 0x7FFF_FFFF))
        #expect(client.session.availableStreams == 98)
    }

    @Test("a PING is answered, and ours is counted until it is")
    func liveness() {
        let (client, server) = (TestClient(), TestServer())
        converse(client, server)
        client.session.ping()
        #expect(client.session.pingsOutstanding == 1)
        converse(client, server)
        #expect(client.session.pingsOutstanding == 0)
    }
}
