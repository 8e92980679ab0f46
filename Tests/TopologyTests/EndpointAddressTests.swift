import Testing
import Topology

@Suite struct EndpointAddressTests {
    struct Good: Sendable, CustomTestStringConvertible {
        let url: String
        let plain: String
        var host: String
        var port: UInt16
        var authority: String
        var prefix = ""
        var usesTLS = false
        var isIPLiteral = false
        var testDescription: String { url }
    }

    @Test(
        "a URL is read",
        arguments: [
            Good(
                url: "http://10.0.0.1:8000", plain: "http://10.0.0.1:8000", host: "10.0.0.1", port: 8000,
                authority: "10.0.0.1:8000", isIPLiteral: true),
            Good(url: "http://engine", plain: "http://engine", host: "engine", port: 80, authority: "engine"),
            Good(
                url: "HTTPS://Engine.Example.:443/", plain: "https://engine.example.", host: "engine.example.",
                port: 443,
                authority: "engine.example.", usesTLS: true),
            Good(url: "http://e:443", plain: "http://e:443", host: "e", port: 443, authority: "e:443"),
            Good(url: "https://e:80", plain: "https://e:80", host: "e", port: 80, authority: "e:80", usesTLS: true),
            Good(
                url: "http://[::1]:8000/v1", plain: "http://[::1]:8000", host: "::1", port: 8000,
                authority: "[::1]:8000",
                isIPLiteral: true),
            Good(
                url: "https://[2001:DB8::1]", plain: "https://[2001:db8::1]", host: "2001:db8::1", port: 443,
                authority: "[2001:db8::1]", usesTLS: true, isIPLiteral: true),
            Good(
                url: "http://h/openai/v1/", plain: "http://h/openai", host: "h", port: 80, authority: "h",
                prefix: "/openai"),
            Good(url: "http://h/v1/x", plain: "http://h/v1/x", host: "h", port: 80, authority: "h", prefix: "/v1/x"),
            Good(url: "http://h//a//b/", plain: "http://h/a/b", host: "h", port: 80, authority: "h", prefix: "/a/b"),
            Good(
                url: "http://my_host-1:1", plain: "http://my_host-1:1", host: "my_host-1", port: 1,
                authority: "my_host-1:1"),
        ])
    func good(_ row: Good) throws {
        let address = try EndpointAddress(parsing: row.url)
        #expect(address.description == row.plain)
        #expect(address.host == row.host)
        #expect(address.port == row.port)
        #expect(address.authority == row.authority)
        #expect(address.pathPrefix == row.prefix)
        #expect(address.usesTLS == row.usesTLS)
        #expect(address.isIPLiteral == row.isIPLiteral)
        #expect(try EndpointAddress(parsing: address.description) == address)
    }

    struct Bad: Sendable, CustomTestStringConvertible {
        let url: String
        let error: EndpointAddressError
        var testDescription: String { url }
    }

    @Test(
        "what is no URL of an endpoint is refused with the reason",
        arguments: [
            Bad(url: "", error: .missingScheme), Bad(url: "10.0.0.1:8000", error: .missingScheme),
            Bad(url: "ftp://h", error: .unknownScheme), Bad(url: "http://", error: .missingHost),
            Bad(url: "http:///path", error: .missingHost), Bad(url: "http://:80", error: .missingHost),
            Bad(url: "http://h:", error: .badPort), Bad(url: "http://h:0", error: .badPort),
            Bad(url: "http://h:65536", error: .badPort), Bad(url: "http://h:+1", error: .badPort),
            Bad(url: "http://h:8o", error: .badPort), Bad(url: "http://::1:80", error: .badHost),
            Bad(url: "http://[::1", error: .badHost), Bad(url: "http://[::1]x", error: .badHost),
            Bad(url: "http://[1.2.3.4]", error: .badHost), Bad(url: "http://1.2.3", error: .badHost),
            Bad(url: "http://256.1.1.1", error: .badHost), Bad(url: "http://01.1.1.1", error: .badHost),
            Bad(url: "http://-h", error: .badHost), Bad(url: "http://a..b", error: .badHost),
            Bad(url: "http://h%41", error: .badHost), Bad(url: "http://user:pw@h", error: .userInfo),
            Bad(url: "http://h/?x=1", error: .queryOrFragment), Bad(url: "http://h#x", error: .queryOrFragment),
            Bad(url: "http://h/../x", error: .badPath), Bad(url: "http://h/a%2Fb", error: .badPath),
            Bad(url: "http://h/a b", error: .badCharacter), Bad(url: "http://hö", error: .badCharacter),
            Bad(url: "http://h\r\nx: y", error: .badCharacter),
        ])
    func bad(_ row: Bad) {
        #expect(throws: row.error) { try EndpointAddress(parsing: row.url) }
        #expect(!row.error.explanation.isEmpty)
    }

    @Test(
        "IPv6 literals",
        arguments: [
            ("::", true), ("::1", true), ("1::", true), ("1:2:3:4:5:6:7:8", true), ("1:2:3:4:5:6:7", false),
            ("1:2:3:4:5:6:7:8:9", false), ("1::8:7:6:5:4:3:2", false), ("::1::", false), (":::", false), (":1", false),
            ("::ffff:1.2.3.4", true), ("1.2.3.4::", false), ("::1.2.3", false), ("fe80::1%eth0", false), ("g::", false),
            ("12345::", false), ("", false),
        ])
    func ipv6(_ text: String, _ expected: Bool) { #expect(isIPv6Literal(text[...]) == expected) }
}
