import Bytes
import HTTP
import Testing

@Suite("Field names")
struct FieldNameTests {
    private static func text(_ name: FieldName) -> String { "\(name.text)" }

    private static func token(_ text: String) -> FieldName { FieldName(octets(text).span) }

    @Test("each known name is found in any case, and no other", arguments: FieldName.allCases)
    func lookup(_ name: FieldName) throws {
        let text = FieldNameTests.text(name)
        #expect(FieldNameTests.token(text) == name)
        #expect(FieldNameTests.token(text.uppercased()) == name)
        #expect(FieldNameTests.token(text + "x") == .other)
        if name == .other { return }
        #expect(text == text.lowercased())
        #expect(FieldNameTests.token(String(text.dropLast())) == .other)
        var head = RequestHead()
        let value =
            name == .host ? "a" : name == .contentLength ? "0" : name == .transferEncoding ? "chunked" : "100-continue"
        let request =
            "GET / HTTP/1.1\r\n" + (name == .host ? "" : "Host: a\r\n") + "\(text.uppercased()): \(value)\r\n\r\n"
        try parseRequestHead(octets(request).span, limits: HTTP1Limits(), into: &head)
        if name != .host { #expect(head.fields.fields.map(\.name) == [name]) }
    }

    @Test("a name folds as ASCII only")
    func folding() {
        #expect(FieldNameTests.token("\u{CB}ost") == .other)
        #expect(FieldNameTests.token("content\rlength") == .other)
        #expect(FieldNameTests.token("x\u{0D}api-key") == .other)
    }

    @Test("names do not repeat")
    func unique() {
        #expect(Set(FieldName.allCases.map(FieldNameTests.text)).count == FieldName.allCases.count)
    }

    @Test("hop-by-hop fields go neither way")
    func hopByHop() {
        for name in FieldName.allCases where name.isHopByHop {
            #expect(!name.forwardedUpstream)
            #expect(!name.forwardedDownstream)
        }
    }

    @Test("which names of requests go on")
    func upstream() {
        var fields = HeaderFields()
        let rows: [(String, Bool)] = [
            ("content-type", true), ("accept", true), ("user-agent", true), ("x-stainless-os", true),
            ("openai-beta", true), ("anthropic-version", true), ("authorization", true), ("host", false),
            ("content-length", false), ("transfer-encoding", false), ("connection", false), ("te", false),
            ("trailer", false), ("upgrade", false), ("http2-settings", false), ("keep-alive", false),
            ("proxy-authorization", false), ("proxy-anything", false), ("accept-encoding", false), ("expect", false),
            ("forwarded", false), ("x-forwarded-for", false), ("x-forwarded-prefix", false), ("x-real-ip", false),
            ("x-gateway-destination-endpoint", false), ("x-envoy-original-path", false), ("x-original-url", false),
            ("x-rewrite-url", false), ("x-http-method-override", false), ("x-request-id", false), ("via", false),
            ("origin", false), ("sec-fetch-site", false), ("traceparent", true),
        ]
        for (name, isForwarded) in rows {
            fields.removeAll()
            fields.append(name: name, value: "x")
            #expect(fields.isForwardedUpstream(fields.fields[0]) == isForwarded, "\(name)")
        }
    }

    @Test("which names of responses go on")
    func downstream() {
        var fields = HeaderFields()
        let rows: [(String, Bool)] = [
            ("content-type", true), ("content-disposition", true), ("content-encoding", true), ("retry-after", true),
            ("retry-after-ms", true), ("x-should-retry", true), ("cache-control", true), ("openai-version", true),
            ("openai-model", true), ("x-ratelimit-remaining-requests", true), ("anthropic-ratelimit-tokens", true),
            ("x-request-id", true), ("server", false), ("set-cookie", false), ("via", false), ("location", false),
            ("connection", false), ("content-length", false), ("transfer-encoding", false), ("upgrade", false),
            ("www-authenticate", false), ("proxy-authenticate", false), ("x-powered-by", false), ("date", false),
        ]
        for (name, isForwarded) in rows {
            fields.removeAll()
            fields.append(name: name, value: "x")
            #expect(fields.isForwardedDownstream(fields.fields[0]) == isForwarded, "\(name)")
        }
    }

    @Test("credentials are known as such")
    func credentials() {
        let credentials = FieldName.allCases.filter(\.isCredential)
        #expect(
            Set(credentials) == [.authorization, .apiKey, .xAPIKey, .googleAPIKey, .cookie, .proxyAuthorization])
    }
}

@Suite("Header fields")
struct HeaderFieldsTests {
    @Test("appended fields are found again, names in lower case")
    func append() {
        var fields = HeaderFields()
        fields.append(name: "X-Any", value: "1")
        fields.append(.server, "s")
        fields.append(.retryAfter, value: octets("2").span)
        fields.append(.other, name: octets("X-ANY").span, value: octets("3").span)
        #expect(lines(of: fields) == ["x-any: 1", "server: s", "retry-after: 2", "x-any: 3"])
        #expect(fields.text(of: .server) == "s")
        #expect(fields.text(of: "x-any" as StaticString) == "1")
        #expect(fields.count(of: .other) == 2)
        #expect(fields.listSize == 6 + 7 + 12 + 6 + 4 * 32)
        fields.removeAll()
        #expect(fields.count == 0)
        #expect(fields.listSize == 0)
    }
}

@Suite("Grammar")
struct GrammarTests {
    private static func isToken(_ text: String) -> Bool { HTTP.isToken(octets(text).span) }

    private static func isFieldValue(_ text: String) -> Bool { HTTP.isFieldValue(octets(text).span) }

    private static func method(_ text: String) -> HTTP.Method? { HTTP.Method(octets(text).span) }

    @Test("tokens")
    func tokens() {
        #expect(GrammarTests.isToken("a-Z!#$%&'*+.^_`|~09"))
        for byte in ["", " ", "a b", "a:", "\u{7F}", "\u{80}", "(", "\"", "/", "[", "{", "\u{0}"] {
            #expect(!GrammarTests.isToken(byte), "\(byte.debugDescription)")
        }
    }

    @Test("field values")
    func values() {
        for value in ["", "a", "a b", "a\tb", "\u{80}\u{FF}", "!"] { #expect(GrammarTests.isFieldValue(value)) }
        for value in [" a", "a ", "\ta", "a\t", " ", "a\rb", "a\nb", "a\u{0}b", "a\u{7F}", "\u{1F}"] {
            #expect(!GrammarTests.isFieldValue(value), "\(value.debugDescription)")
        }
    }

    @Test("methods")
    func methods() {
        for method: HTTP.Method in [.get, .head, .post, .put, .delete, .options, .patch] {
            #expect(GrammarTests.method("\(method.text)") == method)
            #expect(GrammarTests.method("\(method.text)".lowercased()) == nil)
        }
        for text in ["", "GE", "GETT", "CONNECT", "TRACE", "PRI"] { #expect(GrammarTests.method(text) == nil) }
    }

    @Test("targets of HTTP/2 obey the same rules")
    func targets() throws {
        try validateTarget(octets("/a?b").span, for: .get)
        try validateTarget(octets("*").span, for: .options)
        for (text, method) in [
            ("", HTTP.Method.get), ("*", .get), ("a", .get), ("/ ", .get), ("/#", .get), ("/\u{80}", .get),
            ("http://a/", .get),
        ] {
            #expect(throws: HTTP1Error.malformedTarget) { try validateTarget(octets(text).span, for: method) }
        }
    }
}
