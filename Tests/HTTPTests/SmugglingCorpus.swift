import HTTP
import Testing

/// One attempt to make two parsers disagree, and what ours has to make of it.
struct SmugglingCase: Sendable, CustomTestStringConvertible {
    let name: String
    let text: String
    let verdict: Verdict

    init(_ name: String, _ text: String, _ verdict: Verdict) {
        self.name = name
        self.text = text
        self.verdict = verdict
    }

    var testDescription: String { name }
}

/// A request with one field line.
private func field(_ line: String) -> String {
    "GET / HTTP/1.1\r\nHost: a\r\n\(line)\r\n\r\n"
}

/// A request with that request line.
private func line(_ line: String) -> String {
    "\(line)\r\nHost: a\r\n\r\n"
}

/// A request with that `Host` line.
private func host(_ value: String) -> String {
    "GET / HTTP/1.1\r\nHost: \(value)\r\n\r\n"
}

/// A request with that framing, followed by bytes.
private func post(_ fields: String, _ rest: String = "") -> String {
    "POST / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n\r\n\(rest)"
}

/// A request with a chunked body, followed by bytes.
private func chunked(_ body: String) -> String {
    post("Transfer-Encoding: chunked", body)
}

private func got(
    _ method: HTTP.Method = .get, _ target: String = "/", host: String = "a", body: String = "", left: String = ""
) -> Verdict {
    .request(method, target, host: host, body: body, left: left)
}

private func posted(_ body: String = "", left: String = "") -> Verdict {
    got(.post, body: body, left: left)
}

let smugglingCorpus: [SmugglingCase] = [
    requestLineCases, hostCases, fieldCases, lineEndCases, contentLengthCases, transferEncodingCases, chunkCases,
    chunkExtensionCases, trailerCases, connectionCases, sequenceCases,
].flatMap { $0 }

private let requestLineCases: [SmugglingCase] = [
    .init("plain", line("GET / HTTP/1.1"), got()),
    .init("query", line("GET /a?b=c&d=%20 HTTP/1.1"), got(.get, "/a?b=c&d=%20")),
    .init("every known method", line("PATCH /x HTTP/1.1"), got(.patch, "/x")),
    .init("HTTP/1.0", line("GET / HTTP/1.0"), got()),
    .init("two spaces after the method", line("GET  / HTTP/1.1"), .refused(.malformedTarget)),
    .init("two spaces before the version", line("GET /  HTTP/1.1"), .refused(.malformedTarget)),
    .init("space in the target", line("GET /a b HTTP/1.1"), .refused(.malformedTarget)),
    .init("space after the version", line("GET / HTTP/1.1 "), .refused(.malformedRequestLine)),
    .init("space before the method", line(" GET / HTTP/1.1"), .refused(.malformedRequestLine)),
    .init("tab before the method", line("\tGET / HTTP/1.1"), .refused(.malformedRequestLine)),
    .init("tab for the first space", line("GET\t/ HTTP/1.1"), .refused(.malformedRequestLine)),
    .init("tab for the second space", line("GET /\tHTTP/1.1"), .refused(.malformedRequestLine)),
    .init("vertical tab for a space", line("GET /\u{B}HTTP/1.1"), .refused(.malformedRequestLine)),
    .init("form feed in the target", line("GET /\u{C} HTTP/1.1"), .refused(.controlCharacter)),
    .init("no target", line("GET HTTP/1.1"), .refused(.malformedRequestLine)),
    .init("empty target", line("GET  HTTP/1.1"), .refused(.malformedRequestLine)),
    .init("no method", line("/ HTTP/1.1"), .refused(.malformedRequestLine)),
    .init("no version: HTTP/0.9", line("GET /"), .refused(.malformedRequestLine)),
    .init("no version, long target", line("GET /aaaaaaaaaaaaaaaaaaaaaaaa"), .refused(.malformedRequestLine)),
    .init("HTTP/0.9 without anything more", "GET /\r\n", .refused(.malformedRequestLine)),
    .init("HTTP/0.9 by number", line("GET / HTTP/0.9"), .refused(.unsupportedVersion)),
    .init("HTTP/1.2", line("GET / HTTP/1.2"), .refused(.unsupportedVersion)),
    .init("HTTP/2.0", line("GET / HTTP/2.0"), .refused(.unsupportedVersion)),
    .init("HTTP/9.9", line("GET / HTTP/9.9"), .refused(.unsupportedVersion)),
    .init("HTTP/1", line("GET / HTTP/1"), .refused(.malformedRequestLine)),
    .init("HTTP/1.10", line("GET / HTTP/1.10"), .refused(.malformedRequestLine)),
    .init("HTTP/01.1", line("GET / HTTP/01.1"), .refused(.malformedRequestLine)),
    .init("HTTP/1.1 in lower case", line("GET / http/1.1"), .refused(.malformedRequestLine)),
    .init("comma in the version", line("GET / HTTP/1,1"), .refused(.malformedRequestLine)),
    .init("another protocol", line("GET / ICAP/1.0"), .refused(.malformedRequestLine)),
    .init("letters behind the version", line("GET / HTTP/1.1x"), .refused(.malformedRequestLine)),
    .init("text behind the version", line("GET / HTTP/1.1 HTTP/1.1"), .refused(.malformedTarget)),
    .init("method in lower case", line("get / HTTP/1.1"), .refused(.unknownMethod)),
    .init("unknown method", line("BREW / HTTP/1.1"), .refused(.unknownMethod)),
    .init("TRACE", line("TRACE / HTTP/1.1"), .refused(.unknownMethod)),
    .init("CONNECT", line("CONNECT a:443 HTTP/1.1"), .refused(.unknownMethod)),
    .init("method with a colon", line("GE:T / HTTP/1.1"), .refused(.malformedRequestLine)),
    .init("method in parentheses", line("(GET) / HTTP/1.1"), .refused(.malformedRequestLine)),
    .init("method beyond ASCII", line("G\u{C9}T / HTTP/1.1"), .refused(.malformedRequestLine)),
    .init("byte order mark", "\u{EF}\u{BB}\u{BF}" + line("GET / HTTP/1.1"), .refused(.malformedRequestLine)),
    .init("TLS hello", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{FC}", .refused(.controlCharacter)),
    .init("TLS hello, first octet", "\u{16}", .refused(.malformedRequestLine)),
    .init(
        "vertical tab before a head to come", "\u{B}GET / HTTP/1.1\r\nHost: a\r\n",
        .refused(.malformedRequestLine)),
    .init("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .refused(.unsupportedVersion)),
    .init("asterisk with OPTIONS", line("OPTIONS * HTTP/1.1"), got(.options, "*")),
    .init("asterisk with GET", line("GET * HTTP/1.1"), .refused(.malformedTarget)),
    .init("asterisk and more", line("OPTIONS *x HTTP/1.1"), .refused(.malformedTarget)),
    .init("fragment", line("GET /#a HTTP/1.1"), .refused(.malformedTarget)),
    .init("octet beyond ASCII in the target", line("GET /\u{E9} HTTP/1.1"), .refused(.malformedTarget)),
    .init("NUL in the target", line("GET /\u{0} HTTP/1.1"), .refused(.controlCharacter)),
    .init("DEL in the target", line("GET /\u{7F} HTTP/1.1"), .refused(.controlCharacter)),
    .init("relative target", line("GET a/b HTTP/1.1"), .refused(.malformedTarget)),
    .init("query alone", line("GET ?a HTTP/1.1"), .refused(.malformedTarget)),
    .init("backslash for a slash", line("GET \\a HTTP/1.1"), .refused(.malformedTarget)),
    .init("absolute target", line("GET http://b:81/c?d HTTP/1.1"), got(.get, "/c?d", host: "b:81")),
    .init("absolute target in upper case", line("GET HTTPS://B/ HTTP/1.1"), got(.get, "/", host: "B")),
    .init("absolute target without path", line("GET http://b HTTP/1.1"), got(.get, "/", host: "b")),
    .init("absolute target with query alone", line("GET http://b?q HTTP/1.1"), got(.get, "/?q", host: "b")),
    .init("absolute OPTIONS without path", line("OPTIONS http://b HTTP/1.1"), got(.options, "*", host: "b")),
    .init("absolute target with user", line("GET http://u@b/ HTTP/1.1"), .refused(.malformedTarget)),
    .init("absolute target with user and port", line("GET http://b:80@c/ HTTP/1.1"), .refused(.malformedTarget)),
    .init("absolute target without host", line("GET http:///a HTTP/1.1"), .refused(.malformedTarget)),
    .init("absolute target without anything", line("GET http:// HTTP/1.1"), .refused(.malformedTarget)),
    .init("absolute target of another scheme", line("GET file:///etc/passwd HTTP/1.1"), .refused(.malformedTarget)),
    .init("absolute target with fragment", line("GET http://b/#c HTTP/1.1"), .refused(.malformedTarget)),
    .init("absolute target with a bad port", line("GET http://b:x/ HTTP/1.1"), .refused(.malformedTarget)),
    .init("authority with GET", line("GET a:80 HTTP/1.1"), .refused(.malformedTarget)),
    .init(
        "long request line", line("GET /" + String(repeating: "a", count: 8178) + " HTTP/1.1"),
        got(.get, "/" + String(repeating: "a", count: 8178))),
    .init(
        "request line too long", line("GET /" + String(repeating: "a", count: 8179) + " HTTP/1.1"),
        .refused(.requestLineTooLong)),
    .init(
        "request line that never ends", "GET /" + String(repeating: "a", count: 8200),
        .refused(.requestLineTooLong)),
]

private let hostCases: [SmugglingCase] = [
    .init("name and port", host("example.com:8080"), got(host: "example.com:8080")),
    .init("underscore, hyphen and tilde", host("a_b-c~d.e"), got(host: "a_b-c~d.e")),
    .init("IPv4", host("127.0.0.1:4000"), got(host: "127.0.0.1:4000")),
    .init("IPv6", host("[::1]:80"), got(host: "[::1]:80")),
    .init("IPv6 in full", host("[2001:db8:0:1:1:1:1:1]"), got(host: "[2001:db8:0:1:1:1:1:1]")),
    .init("IPv4 in IPv6", host("[::ffff:1.2.3.4]"), got(host: "[::ffff:1.2.3.4]")),
    .init("blanks around the host", host(" \t a \t "), got()),
    .init("no Host", "GET / HTTP/1.1\r\nX: y\r\n\r\n", .refused(.missingHost)),
    .init("no fields", "GET / HTTP/1.1\r\n\r\n", .refused(.missingHost)),
    .init("no Host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", got(host: "")),
    .init("no Host but absolute target", "GET http://b/ HTTP/1.1\r\n\r\n", .refused(.missingHost)),
    .init("two Hosts", field("Host: b"), .refused(.repeatedHost)),
    .init("two equal Hosts", field("Host: a"), .refused(.repeatedHost)),
    .init("two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", .refused(.repeatedHost)),
    .init("Host in two cases", field("hOST: b"), .refused(.repeatedHost)),
    .init("empty Host", host(""), .refused(.malformedHost)),
    .init("empty Host in HTTP/1.0", "GET / HTTP/1.0\r\nHost:\r\n\r\n", .refused(.malformedHost)),
    .init("Host list", host("a, b"), .refused(.malformedHost)),
    .init("Host with space", host("a b"), .refused(.malformedHost)),
    .init("Host with path", host("a/b"), .refused(.malformedHost)),
    .init("Host with query", host("a?b"), .refused(.malformedHost)),
    .init("Host with fragment", host("a#b"), .refused(.malformedHost)),
    .init("Host with user", host("u@a"), .refused(.malformedHost)),
    .init("Host with scheme", host("http://a"), .refused(.malformedHost)),
    .init("Host with backslash", host("a\\b"), .refused(.malformedHost)),
    .init("Host with percent-encoding", host("a%00"), .refused(.malformedHost)),
    .init("Host in quotes", host("\"a\""), .refused(.malformedHost)),
    .init("Host beyond ASCII", host("\u{E9}"), .refused(.malformedHost)),
    .init("port that is no number", host("a:b"), .refused(.malformedHost)),
    .init("empty port", host("a:"), .refused(.malformedHost)),
    .init("port too large", host("a:65536"), .refused(.malformedHost)),
    .init("port of six digits", host("a:000080"), .refused(.malformedHost)),
    .init("port with sign", host("a:+80"), .refused(.malformedHost)),
    .init("two ports", host("a:80:80"), .refused(.malformedHost)),
    .init("port alone", host(":80"), .refused(.malformedHost)),
    .init("IPv6 without brackets", host("::1"), .refused(.malformedHost)),
    .init("IPv6 without end", host("[::1"), .refused(.malformedHost)),
    .init("IPv6 with zone", host("[fe80::1%25eth0]"), .refused(.malformedHost)),
    .init("IPv6 with two gaps", host("[1::2::3]"), .refused(.malformedHost)),
    .init("IPv6 with nine groups", host("[1:2:3:4:5:6:7:8:9]"), .refused(.malformedHost)),
    .init("IPv6 with seven groups", host("[1:2:3:4:5:6:7]"), .refused(.malformedHost)),
    .init("IPv6 and a gap for nothing", host("[1:2:3:4::5:6:7:8]"), .refused(.malformedHost)),
    .init("IPv6 with a long group", host("[::12345]"), .refused(.malformedHost)),
    .init("IPv6 that ends in a colon", host("[1:2:3:4:5:6:7:]"), .refused(.malformedHost)),
    .init("IPv6 with a bad IPv4", host("[::1.2.3.256]"), .refused(.malformedHost)),
    .init("empty brackets", host("[]"), .refused(.malformedHost)),
    .init("text behind brackets", host("[::1]a"), .refused(.malformedHost)),
    .init("bad Host under an absolute target", "GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n", .refused(.malformedHost)),
]

private let fieldCases: [SmugglingCase] = [
    .init("tab in a value", field("X: a\tb"), got()),
    .init("octets beyond ASCII in a value", field("X: \u{80}\u{FF}"), got()),
    .init("empty value", field("X:"), got()),
    .init("name of every token octet", field("!#$%&'*+-.^_`|~09azAZ: x"), got()),
    .init("space before the colon", field("X : a"), .refused(.malformedFieldName)),
    .init("tab before the colon", field("X\t: a"), .refused(.malformedFieldName)),
    .init("space before the colon of a length", post("Content-Length : 5", "hello"), .refused(.malformedFieldName)),
    .init(
        "space before the colon of an encoding", post("Transfer-Encoding : chunked", "0\r\n\r\n"),
        .refused(.malformedFieldName)),
    .init("folded value", field("X: a\r\n b"), .refused(.foldedField)),
    .init("folded value by tab", field("X: a\r\n\tb"), .refused(.foldedField)),
    .init("folded encoding", post("Transfer-Encoding:\r\n chunked", "0\r\n\r\n"), .refused(.malformedTransferEncoding)),
    .init("folded length", post("Content-Length:\r\n 5", "hello"), .refused(.malformedContentLength)),
    .init("space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", .refused(.foldedField)),
    .init("line of a space", field("X: a\r\n \r\nY: b"), .refused(.foldedField)),
    .init("space before a name", field("X: a\r\n Content-Length: 5"), .refused(.foldedField)),
    .init("no colon", field("X"), .refused(.malformedFieldName)),
    .init("no name", field(": a"), .refused(.malformedFieldName)),
    .init("space in a name", field("X Y: a"), .refused(.malformedFieldName)),
    .init("NUL in a name", field("X\u{0}: a"), .refused(.controlCharacter)),
    .init("NUL in a value", field("X: a\u{0}b"), .refused(.controlCharacter)),
    .init("escape in a value", field("X: \u{1B}[0m"), .refused(.controlCharacter)),
    .init("vertical tab in a value", field("X: a\u{B}b"), .refused(.controlCharacter)),
    .init("DEL in a value", field("X: a\u{7F}"), .refused(.controlCharacter)),
    .init("DEL in a name", field("X\u{7F}: a"), .refused(.controlCharacter)),
    .init("octet beyond ASCII in a name", field("X\u{E9}: a"), .refused(.malformedFieldName)),
    .init("no-break space behind a name", post("Content-Length\u{A0}: 5", "hello"), .refused(.malformedFieldName)),
    .init("parenthesis in a name", field("X(: a"), .refused(.malformedFieldName)),
    .init("quote in a name", field("\"X\": a"), .refused(.malformedFieldName)),
    .init("slash in a name", field("X/Y: a"), .refused(.malformedFieldName)),
    .init("brackets in a name", field("X[0]: a"), .refused(.malformedFieldName)),
    .init("at sign in a name", field("X@Y: a"), .refused(.malformedFieldName)),
    .init("pseudo-field", field(":method: GET"), .refused(.malformedFieldName)),
    .init("a second request line", field("GET /x HTTP/1.1"), .refused(.malformedFieldName)),
    .init("Kelvin sign for a letter", field("\u{E2}\u{84}\u{AA}eep-alive: x"), .refused(.malformedFieldName)),
    .init("underscore for a hyphen", post("Content_Length: 5", "hello"), posted(left: "hello")),
    .init(
        "a hundred fields",
        "GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "X: y\r\n", count: 99) + "\r\n", got()),
    .init(
        "a hundred fields and one",
        "GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "X: y\r\n", count: 100) + "\r\n", .refused(.tooManyFields)),
    .init(
        "fields that never end", "GET / HTTP/1.1\r\n" + String(repeating: "X: y\r\n", count: 101),
        .refused(.tooManyFields)),
    .init("head too large", field("X: " + String(repeating: "a", count: 32_768)), .refused(.headTooLarge)),
    .init(
        "value that never ends", "GET / HTTP/1.1\r\nX: " + String(repeating: "a", count: 32_768),
        .refused(.headTooLarge)),
]

private let lineEndCases: [SmugglingCase] = [
    .init("line feeds only", "GET / HTTP/1.1\nHost: a\n\n", .refused(.controlCharacter)),
    .init("line feed after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", .refused(.controlCharacter)),
    .init("line feed after a field", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", .refused(.controlCharacter)),
    .init("line feed at the end of the head", "GET / HTTP/1.1\r\nHost: a\r\n\n", .refused(.controlCharacter)),
    .init("two line feeds at the end of the head", "GET / HTTP/1.1\r\nHost: a\n\n", .refused(.controlCharacter)),
    .init("carriage returns only", "GET / HTTP/1.1\rHost: a\r\r", .refused(.controlCharacter)),
    .init("carriage return in a value", field("X: a\rb"), .refused(.controlCharacter)),
    .init("carriage return in a name", field("X\rY: a"), .refused(.controlCharacter)),
    .init("carriage return before the colon", field("X\r: a"), .refused(.controlCharacter)),
    .init("carriage return after the colon", field("X:\ra"), .refused(.controlCharacter)),
    .init("carriage return in the target", line("GET /\r HTTP/1.1"), .refused(.controlCharacter)),
    .init("two carriage returns before a line feed", field("X: a\r"), .refused(.controlCharacter)),
    .init("line feed before CRLF", field("X: a\n"), .refused(.controlCharacter)),
    .init("LFCR", "GET / HTTP/1.1\n\rHost: a\n\r\n\r", .refused(.controlCharacter)),
    .init("length hidden behind a carriage return", field("X: a\rContent-Length: 5"), .refused(.controlCharacter)),
    .init("length hidden behind a line feed", field("X: a\nContent-Length: 5"), .refused(.controlCharacter)),
    .init(
        "encoding with a carriage return before it", post("Transfer-Encoding: \rchunked"), .refused(.controlCharacter)),
    .init("one empty line before", "\r\n" + line("GET / HTTP/1.1"), got()),
    .init("two empty lines before", "\r\n\r\n" + line("GET / HTTP/1.1"), .refused(.malformedRequestLine)),
    .init("line feed before", "\n" + line("GET / HTTP/1.1"), .refused(.controlCharacter)),
    .init("carriage return before", "\r" + line("GET / HTTP/1.1"), .refused(.malformedRequestLine)),
    .init("NUL before", "\u{0}" + line("GET / HTTP/1.1"), .refused(.malformedRequestLine)),
    .init("NUL in a head that does not end", "GET / HTTP/1.1\r\nX: \u{0}", .refused(.controlCharacter)),
    .init("next line character", "GET / HTTP/1.1\u{85}Host: a\u{85}\u{85}", .incomplete),
    .init("head without end", "GET / HTTP/1.1\r\nHost: a\r\n", .incomplete),
    .init("nothing", "", .incomplete),
    .init("half an empty line", "\r", .incomplete),
    .init("an empty line alone", "\r\n", .incomplete),
]

private let contentLengthCases: [SmugglingCase] = [
    .init("length", post("Content-Length: 5", "hello"), posted("hello")),
    .init("length with leading zeros", post("Content-Length: 0005", "hello"), posted("hello")),
    .init("length of nothing", post("Content-Length: 0", "hello"), posted(left: "hello")),
    .init("length and blanks", post("Content-Length: \t 5 \t", "hello"), posted("hello")),
    .init("length without blank", post("Content-Length:5", "hello"), posted("hello")),
    .init("GET with a body", field("Content-Length: 5") + "hello", got(body: "hello")),
    .init("no framing", post("X: y", "hello"), posted(left: "hello")),
    .init("body to come", post("Content-Length: 6", "hello"), .incomplete),
    .init("two lengths", post("Content-Length: 5\r\nContent-Length: 6", "hello"), .refused(.repeatedContentLength)),
    .init(
        "two equal lengths", post("Content-Length: 5\r\nContent-Length: 5", "hello"), .refused(.repeatedContentLength)),
    .init(
        "lengths in two cases", post("Content-Length: 5\r\ncONTENT-lENGTH: 0", "hello"),
        .refused(.repeatedContentLength)),
    .init(
        "a length and an empty one", post("Content-Length: 5\r\nContent-Length:", "hello"),
        .refused(.repeatedContentLength)),
    .init("list of equal lengths", post("Content-Length: 5, 5", "hello"), .refused(.malformedContentLength)),
    .init("list of lengths", post("Content-Length: 5,6", "hello"), .refused(.malformedContentLength)),
    .init("length with a comma behind", post("Content-Length: 5,", "hello"), .refused(.malformedContentLength)),
    .init("positive length", post("Content-Length: +5", "hello"), .refused(.malformedContentLength)),
    .init("negative length", post("Content-Length: -5", "hello"), .refused(.malformedContentLength)),
    .init("negative zero", post("Content-Length: -0", "hello"), .refused(.malformedContentLength)),
    .init("hexadecimal length", post("Content-Length: 0x5", "hello"), .refused(.malformedContentLength)),
    .init("hexadecimal digits", post("Content-Length: a", "hello"), .refused(.malformedContentLength)),
    .init("decimal point", post("Content-Length: 5.0", "hello"), .refused(.malformedContentLength)),
    .init("exponent", post("Content-Length: 5e0", "hello"), .refused(.malformedContentLength)),
    .init("underscore", post("Content-Length: 1_0", "hello"), .refused(.malformedContentLength)),
    .init("space in a length", post("Content-Length: 1 0", "hello"), .refused(.malformedContentLength)),
    .init("quoted length", post("Content-Length: \"5\"", "hello"), .refused(.malformedContentLength)),
    .init("length with parameter", post("Content-Length: 5;a", "hello"), .refused(.malformedContentLength)),
    .init("empty length", post("Content-Length:", "hello"), .refused(.malformedContentLength)),
    .init("blank length", post("Content-Length:  ", "hello"), .refused(.malformedContentLength)),
    .init("digit beyond ASCII", post("Content-Length: \u{B2}", "hello"), .refused(.malformedContentLength)),
    .init("2^53", post("Content-Length: 9007199254740992"), .incomplete),
    .init("2^53 + 1", post("Content-Length: 9007199254740993"), .refused(.malformedContentLength)),
    .init("2^63", post("Content-Length: 9223372036854775808"), .refused(.malformedContentLength)),
    .init("2^64 + 5", post("Content-Length: 18446744073709551621", "hello"), .refused(.malformedContentLength)),
    .init(
        "forty digits", post("Content-Length: " + String(repeating: "9", count: 40)), .refused(.malformedContentLength)),
    .init(
        "no-break space behind a length", post("Content-Length: 5\u{A0}", "hello"), .refused(.malformedContentLength)),
]

private let transferEncodingCases: [SmugglingCase] = [
    .init("chunked", chunked("5\r\nhello\r\n0\r\n\r\n"), posted("hello")),
    .init("chunked in mixed case", post("tRANSFER-eNCODING: ChUnKeD", "0\r\n\r\n"), posted()),
    .init("chunked without blank", post("Transfer-Encoding:chunked", "0\r\n\r\n"), posted()),
    .init("chunked and blanks", post("Transfer-Encoding: \t chunked \t", "0\r\n\r\n"), posted()),
    .init(
        "length, then chunked", post("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        .refused(.ambiguousFraming)),
    .init(
        "chunked, then length", post("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"),
        .refused(.ambiguousFraming)),
    .init(
        "chunked and length 0", post("Transfer-Encoding: chunked\r\nContent-Length: 0", "0\r\n\r\n"),
        .refused(.ambiguousFraming)),
    .init(
        "bad encoding and length", post("Transfer-Encoding: xchunked\r\nContent-Length: 5", "hello"),
        .refused(.malformedTransferEncoding)),
    .init(
        "two chunked lines", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        .refused(.malformedTransferEncoding)),
    .init(
        "chunked, then identity", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n"),
        .refused(.malformedTransferEncoding)),
    .init(
        "identity, then chunked", post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        .refused(.unsupportedTransferEncoding)),
    .init(
        "chunked twice", post("Transfer-Encoding: chunked, chunked", "0\r\n\r\n"), .refused(.malformedTransferEncoding)),
    .init(
        "gzip and chunked", post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"), .refused(.malformedTransferEncoding)),
    .init(
        "chunked and gzip", post("Transfer-Encoding: chunked, gzip", "0\r\n\r\n"), .refused(.malformedTransferEncoding)),
    .init("gzip", post("Transfer-Encoding: gzip", "0\r\n\r\n"), .refused(.unsupportedTransferEncoding)),
    .init("identity", post("Transfer-Encoding: identity", "0\r\n\r\n"), .refused(.unsupportedTransferEncoding)),
    .init("empty encoding", post("Transfer-Encoding:", "0\r\n\r\n"), .refused(.malformedTransferEncoding)),
    .init("comma for encoding", post("Transfer-Encoding: ,", "0\r\n\r\n"), .refused(.malformedTransferEncoding)),
    .init(
        "comma before chunked", post("Transfer-Encoding: ,chunked", "0\r\n\r\n"), .refused(.malformedTransferEncoding)),
    .init(
        "comma behind chunked", post("Transfer-Encoding: chunked,", "0\r\n\r\n"), .refused(.malformedTransferEncoding)),
    .init(
        "chunked with parameter", post("Transfer-Encoding: chunked;q=1", "0\r\n\r\n"),
        .refused(.malformedTransferEncoding)),
    .init(
        "chunked in quotes", post("Transfer-Encoding: \"chunked\"", "0\r\n\r\n"), .refused(.malformedTransferEncoding)),
    .init("xchunked", post("Transfer-Encoding: xchunked", "0\r\n\r\n"), .refused(.malformedTransferEncoding)),
    .init("chunkedx", post("Transfer-Encoding: chunkedx", "0\r\n\r\n"), .refused(.malformedTransferEncoding)),
    .init("x chunked", post("Transfer-Encoding: x chunked", "0\r\n\r\n"), .refused(.malformedTransferEncoding)),
    .init("chunk", post("Transfer-Encoding: chunk", "0\r\n\r\n"), .refused(.unsupportedTransferEncoding)),
    .init(
        "vertical tab before chunked", post("Transfer-Encoding: \u{B}chunked", "0\r\n\r\n"), .refused(.controlCharacter)
    ),
    .init(
        "no-break space before chunked", post("Transfer-Encoding: \u{A0}chunked", "0\r\n\r\n"),
        .refused(.malformedTransferEncoding)),
    .init("NUL behind chunked", post("Transfer-Encoding: chunked\u{0}", "0\r\n\r\n"), .refused(.controlCharacter)),
    .init(
        "Kelvin sign in chunked", post("Transfer-Encoding: chun\u{E2}\u{84}\u{AA}ed", "0\r\n\r\n"),
        .refused(.malformedTransferEncoding)),
    .init("underscored name", post("Transfer_Encoding: chunked", "0\r\n\r\n"), posted(left: "0\r\n\r\n")),
    .init(
        "chunked in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        .refused(.ambiguousFraming)),
    .init("chunked GET", field("Transfer-Encoding: chunked") + "1\r\na\r\n0\r\n\r\n", got(body: "a")),
]

private let chunkCases: [SmugglingCase] = [
    .init("two chunks and a request", chunked("1\r\na\r\n2\r\nbc\r\n0\r\n\r\nGET"), posted("abc", left: "GET")),
    .init("size in upper case", chunked("A\r\n0123456789\r\n0\r\n\r\n"), posted("0123456789")),
    .init("size with leading zeros", chunked("0005\r\nhello\r\n000\r\n\r\n"), posted("hello")),
    .init("size of many zeros", chunked(String(repeating: "0", count: 200) + "1\r\na\r\n0\r\n\r\n"), posted("a")),
    .init(
        "size of too many zeros", chunked(String(repeating: "0", count: 400) + "1\r\na\r\n0\r\n\r\n"),
        .refused(.chunkExtensionTooLong)),
    .init("no size", chunked("\r\nhello\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("size with 0x", chunked("0x5\r\nhello\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("positive size", chunked("+5\r\nhello\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("negative size", chunked("-5\r\nhello\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("underscore in a size", chunked("0_5\r\nhello\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("space before a size", chunked(" 5\r\nhello\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("space behind a size", chunked("5 \r\nhello\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("tab behind a size", chunked("5\t\r\nhello\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("letter that is no digit", chunked("g\r\nhello\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("NUL behind a size", chunked("5\u{0}\r\nhello\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("full-width digit", chunked("\u{EF}\u{BC}\u{95}\r\nhello\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("size 2^53 + 1", chunked("20000000000001\r\n"), .refused(.chunkTooLarge)),
    .init("size 2^64 + 5", chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"), .refused(.chunkTooLarge)),
    .init("size of sixteen F", chunked("FFFFFFFFFFFFFFFF\r\n"), .refused(.chunkTooLarge)),
    .init("size 2^63", chunked("8000000000000000\r\n"), .refused(.chunkTooLarge)),
    .init("size that never ends", chunked(String(repeating: "F", count: 4096)), .refused(.chunkTooLarge)),
    .init("line feed behind a size", chunked("5\nhello\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("carriage return behind a size", chunked("5\rhello\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("two carriage returns behind a size", chunked("5\r\r\nhello\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("line feed behind the data", chunked("5\r\nhello\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("carriage return behind the data", chunked("5\r\nhello\r0\r\n\r\n"), .refused(.malformedChunk)),
    .init("no line end behind the data", chunked("5\r\nhello0\r\n\r\n"), .refused(.malformedChunk)),
    .init("any two octets behind the data", chunked("5\r\nhelloXX0\r\n\r\n"), .refused(.malformedChunk)),
    .init("data longer than its size", chunked("4\r\nhello\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("data shorter than its size", chunked("6\r\nhello\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("line feed behind the last size", chunked("0\n\r\n"), .refused(.malformedChunk)),
    .init("line feed at the end", chunked("0\r\n\n"), .refused(.malformedTrailer)),
    .init("carriage return at the end", chunked("0\r\n\rG"), .refused(.malformedTrailer)),
    .init("end without its empty line", chunked("0\r\n"), .incomplete),
    .init("data without end", chunked("5\r\nhel"), .incomplete),
    .init("an empty line between chunks", chunked("1\r\na\r\n\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("a request in place of a chunk", chunked("GET / HTTP/1.1\r\n\r\n"), .refused(.malformedChunk)),
]

private let chunkExtensionCases: [SmugglingCase] = [
    .init("extension", chunked("1;a\r\nx\r\n0\r\n\r\n"), posted("x")),
    .init("extension with value", chunked("1;a=b;c=d\r\nx\r\n0;e\r\n\r\n"), posted("x")),
    .init("quoted value", chunked("1;a=\"b;\\\"c\"\r\nx\r\n0\r\n\r\n"), posted("x")),
    .init("blanks in extensions", chunked("1 ; a = b\r\nx\r\n0\r\n\r\n"), posted("x")),
    .init(
        "extension of 256 octets", chunked("1;" + String(repeating: "a", count: 254) + "\r\nx\r\n0\r\n\r\n"),
        posted("x")),
    .init(
        "extension of 257 octets", chunked("1;" + String(repeating: "a", count: 256) + "\r\nx\r\n0\r\n\r\n"),
        .refused(.chunkExtensionTooLong)),
    .init(
        "flood of extensions",
        chunked(String(repeating: "1;" + String(repeating: "a", count: 200) + "\r\nx\r\n", count: 50)),
        .refused(.chunkExtensionTooLong)),
    .init("line feed ends an extension", chunked("1;a\nx\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("line feed ends a value", chunked("1;a=b\nx\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("carriage return in an extension", chunked("1;a\rb\r\nx\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("line feed in quotes", chunked("1;a=\"\n\"\r\nx\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("CRLF in quotes", chunked("1;a=\"\r\n\"\r\nx\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("escaped line feed in quotes", chunked("1;a=\"\\\n\"\r\nx\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("quotes without end", chunked("1;a=\"b\r\nx\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("text behind quotes", chunked("1;a=\"b\"c\r\nx\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("NUL in an extension", chunked("1;a\u{0}\r\nx\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("extension without name", chunked("1;\r\nx\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("value without name", chunked("1;=a\r\nx\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("name without value", chunked("1;a=\r\nx\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("two semicolons", chunked("1;;a\r\nx\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("comma for a semicolon", chunked("1,a\r\nx\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init("blank and text for an extension", chunked("1 a\r\nx\r\n0\r\n\r\n"), .refused(.malformedChunk)),
    .init(
        "extension that never ends", chunked("1;" + String(repeating: " ", count: 300)),
        .refused(.chunkExtensionTooLong)),
]

private let trailerCases: [SmugglingCase] = [
    .init("trailers are dropped", chunked("0\r\nX: y\r\nZ:\r\n\r\n"), posted()),
    .init("a length as trailer is dropped", chunked("0\r\nContent-Length: 5\r\n\r\nhello"), posted(left: "hello")),
    .init("trailer without colon", chunked("0\r\nX\r\n\r\n"), .refused(.malformedTrailer)),
    .init("trailer without name", chunked("0\r\n: x\r\n\r\n"), .refused(.malformedTrailer)),
    .init("space before the colon of a trailer", chunked("0\r\nX : y\r\n\r\n"), .refused(.malformedTrailer)),
    .init("folded trailer", chunked("0\r\nX: y\r\n z\r\n\r\n"), .refused(.malformedTrailer)),
    .init("line feed behind a trailer", chunked("0\r\nX: y\n\r\n"), .refused(.malformedTrailer)),
    .init("carriage return in a trailer", chunked("0\r\nX: y\rz\r\n\r\n"), .refused(.malformedTrailer)),
    .init("NUL in a trailer", chunked("0\r\nX: \u{0}\r\n\r\n"), .refused(.malformedTrailer)),
    .init(
        "a request in place of a trailer", chunked("0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        .refused(.malformedTrailer)),
    .init(
        "flood of trailers", chunked("0\r\n" + String(repeating: "X: y\r\n", count: 2000)), .refused(.trailersTooLarge)),
]

private let connectionCases: [SmugglingCase] = [
    .init("close", field("Connection: close"), got()),
    .init("list with empty elements", field("Connection: ,close, ,"), got()),
    .init("option that is no token", field("Connection: cl ose"), .refused(.malformedConnection)),
    .init("option with parameter", field("Connection: close;a"), .refused(.malformedConnection)),
    .init(
        "flood of options", field("Connection: " + String(repeating: "a,", count: 65)), .refused(.malformedConnection)),
    .init(
        "Connection names the length", post("Content-Length: 5\r\nConnection: content-length", "hello"), posted("hello")
    ),
    .init("Connection names the host", field("Connection: host"), got()),
    .init(
        "Connection names the encoding",
        post("Connection: transfer-encoding\r\nTransfer-Encoding: chunked", "1\r\na\r\n0\r\n\r\n"), posted("a")),
    .init(
        "upgrade to HTTP/2", field("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA"), got()),
    .init("expectation", post("Expect: 100-continue\r\nContent-Length: 5", "hello"), posted("hello")),
    .init("expectation in upper case", post("Expect: 100-CONTINUE\r\nContent-Length: 5", "hello"), posted("hello")),
    .init(
        "another expectation", post("Expect: 200-ok\r\nContent-Length: 5", "hello"), .refused(.unsupportedExpectation)),
    .init("empty expectation", post("Expect:\r\nContent-Length: 5", "hello"), .refused(.unsupportedExpectation)),
    .init(
        "expectation and more", post("Expect: 100-continue, x\r\nContent-Length: 5", "hello"),
        .refused(.unsupportedExpectation)),
    .init(
        "obscured expectation", post("Expect: y 100-continue\r\nContent-Length: 5", "hello"),
        .refused(.unsupportedExpectation)),
    .init(
        "a good and a bad expectation", post("Expect: 100-continue\r\nExpect: x\r\nContent-Length: 5", "hello"),
        .refused(.unsupportedExpectation)),
    .init("expectation in HTTP/1.0 is ignored", "GET / HTTP/1.0\r\nExpect: x\r\n\r\n", got(host: "")),
]

private let sequenceCases: [SmugglingCase] = [
    .init(
        "pipelined requests", line("GET /1 HTTP/1.1") + line("GET /2 HTTP/1.1"),
        got(.get, "/1", left: line("GET /2 HTTP/1.1"))),
    .init(
        "a request behind a length", post("Content-Length: 5", "hello" + line("GET /2 HTTP/1.1")),
        posted("hello", left: line("GET /2 HTTP/1.1"))),
    .init(
        "a request inside a body", post("Content-Length: 28", "GET / HTTP/1.1\r\nHost: b\r\n\r\n?"),
        posted("GET / HTTP/1.1\r\nHost: b\r\n\r\n?")),
    .init("CL.TE", post("Content-Length: 6\r\nTransfer-Encoding: chunked", "0\r\n\r\nG"), .refused(.ambiguousFraming)),
    .init(
        "TE.CL", post("Transfer-Encoding: chunked\r\nContent-Length: 3", "1\r\nZ\r\n0\r\n\r\n"),
        .refused(.ambiguousFraming)),
    .init(
        "TE.TE", post("Transfer-Encoding: chunked\r\nTransfer-encoding: x", "0\r\n\r\n"),
        .refused(.malformedTransferEncoding)),
    .init(
        "0.CL", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n 23\r\n\r\nGET /x HTTP/1.1\r\nX: y",
        .refused(.malformedContentLength)),
]
