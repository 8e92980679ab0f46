@testable import Config
import Testing
import Topology

@Suite struct AddressTests {
    @Test(
        "endpoint URLs, and what they are in plain form",
        arguments: [
            ("http://h", "http://h"), ("https://h", "https://h"), ("http://h:80", "http://h"),
            ("https://h:443/", "https://h"),
            ("HTTP://H.Example.:8000", "http://h.example.:8000"), ("http://h:8000/v1", "http://h:8000"),
            ("https://api.example.com/openai/v1/", "https://api.example.com/openai"),
            ("http://h//a//b", "http://h/a/b"),
            ("http://[::1]:8000", "http://[::1]:8000"), ("http://[2001:DB8::1]/x", "http://[2001:db8::1]/x"),
            ("http://my_svc-1.ns.svc.cluster.local:1", "http://my_svc-1.ns.svc.cluster.local:1"),
        ])
    func endpoints(_ text: String, _ plain: String) throws {
        let address = try EndpointAddress(parsing: text)
        #expect(address.description == plain)
        #expect(try EndpointAddress(parsing: plain) == address)
    }

    @Test(
        "endpoint URLs that are none",
        arguments: [
            ("h:8000", .missingScheme), ("", .missingScheme), ("ftp://h", .unknownScheme), ("http://", .missingHost),
            ("http://:80", .missingHost), ("http://h:", .badPort), ("http://h:0", .badPort),
            ("http://h:65536", .badPort),
            ("http://h:+1", .badPort), ("http://u@h", .userInfo), ("http://h/?a", .queryOrFragment),
            ("http://h#a", .queryOrFragment),
            ("http://h/../a", .badPath), ("http://h/%2e", .badPath), ("http://h/a\\b", .badPath),
            ("http://a b", .badCharacter),
            ("http://ä", .badCharacter), ("http://h\r\n", .badCharacter), ("http://::1", .badHost),
            ("http://[::1", .badHost), ("http://[::1]x", .badHost),
            ("http://[::g]", .badHost), ("http://1.2.3", .badHost), ("http://10.0.0.256", .badHost),
            ("http://-a", .badHost),
            ("http://a..b", .badHost), ("http://*", .badHost),
        ] as [(String, EndpointAddressError)])
    func wrongEndpoints(_ text: String, _ problem: EndpointAddressError) {
        #expect(throws: problem) { try EndpointAddress(parsing: text) }
    }

    @Test(
        "IPv6 addresses",
        arguments: [
            ("::", true), ("::1", true), ("1::", true), ("1:2:3:4:5:6:7:8", true), ("1:2:3:4:5:6:7::", true),
            ("::1.2.3.4", true),
            ("1:2:3:4:5:6:1.2.3.4", true), ("::ffff:10.0.0.1", true), ("fe80::abcd", true), ("", false), (":", false),
            (":::", false),
            ("1", false), ("1:2:3:4:5:6:7", false), ("1:2:3:4:5:6:7:8:9", false), ("1::2::3", false),
            ("12345::", false),
            ("::1.2.3", false), ("1.2.3.4::", false), ("1:2:3:4:5:6:7:1.2.3.4", false), ("fe80::1%eth0", false),
            ("1:", false), (":1", false),
            ("1:2:3:4::5:6:7:8", false),
        ])
    func literals(_ text: String, _ isAddress: Bool) {
        #expect(isIPv6Literal(text[...]) == isAddress)
    }

    @Test(
        "addresses to listen on",
        arguments: [
            ("127.0.0.1:4000", "127.0.0.1:4000"), ("localhost:1", "127.0.0.1:1"), (":4000", ":4000"),
            ("*:4000", ":4000"),
            ("[::1]:4000", "[::1]:4000"), ("[::]:0", "[::]:0"), ("0.0.0.0:65535", "0.0.0.0:65535"),
        ])
    func listening(_ text: String, _ plain: String) throws {
        #expect(try ListenAddress(parsing: text).description == plain)
    }

    @Test(
        "addresses nobody can listen on",
        arguments: [
            ("4000", .missingPort), ("127.0.0.1", .missingPort), ("[::1]", .missingPort), ("::1:4000", .badHost),
            ("a:b", .badPort),
            ("h:1", .badHost), ("unix:/a", .unixSocket), ("/a", .unixSocket), ("http://127.0.0.1:1", .url),
            ("127.0.0.1:-1", .badPort),
            ("127.0.0.1:99999", .badPort), ("127.1:80", .badHost),
        ] as [(String, ListenAddressError)])
    func wrongListening(_ text: String, _ problem: ListenAddressError) {
        #expect(throws: problem) { try ListenAddress(parsing: text) }
    }

    @Test(
        "which addresses clash",
        arguments: [
            (":1", "127.0.0.1:1", true), ("[::]:1", "127.0.0.1:1", true), ("0.0.0.0:1", "127.0.0.1:1", true),
            ("0.0.0.0:1", "[::1]:1", false), ("127.0.0.1:1", "127.0.0.2:1", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            (":1", ":2", false), ("127.0.0.1:1", "127.0.0.1:1", true),
        ])
    func clashes(_ left: String, _ right: String, _ expected: Bool) throws {
        let (left, right) = (try ListenAddress(parsing: left), try ListenAddress(parsing: right))
        #expect(left.clashes(with: right) == expected)
        #expect(right.clashes(with: left) == expected)
    }
}
