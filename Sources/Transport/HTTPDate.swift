internal import Glibc

/// The time of now as `Date` gives it: `Mon, 23 Nov 2026 21:56:55 GMT`.
///
/// - SeeAlso: RFC 9110 section 5.6.7.
func httpDate() -> [UInt8] {
    var seconds = time(nil)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    var buffer = [CChar](repeating: 0, count: 40)
    // Days and months in English: the process never sets a locale, so "C" is in force.
    let count = strftime(&buffer, buffer.count, "%a, %d %b %Y %H:%M:%S GMT", &parts)
    return buffer.prefix(count).map { UInt8(bitPattern: $0) }
}
