internal import Bytes

/// The usual `process_` metrics, read from /proc/self at each scrape.
internal enum ProcessMetrics {
    internal static let declarations = [
        MetricDeclaration("process_cpu_seconds_total", .counter, "User and system CPU time spent, in seconds."),
        MetricDeclaration("process_resident_memory_bytes", .gauge, "Resident memory size in bytes."),
        MetricDeclaration("process_virtual_memory_bytes", .gauge, "Virtual memory size in bytes."),
        MetricDeclaration("process_threads", .gauge, "Threads in the process."),
        MetricDeclaration("process_start_time_seconds", .gauge, "Start of the process in seconds since 1970."),
        MetricDeclaration("process_open_fds", .gauge, "Open file descriptors."),
        MetricDeclaration("process_max_fds", .gauge, "Most file descriptors that may be open."),
    ]

    /// One value for each declaration; `nil` where /proc does not tell.
    internal static func read() -> [Double?] {
        let units = statUnits()
        let ticks = Double(max(1, units.ticksPerSecond))
        let stat = contents(ofSmallFile: "/proc/self/stat").map(statFields) ?? []
        func field(_ number: Int) -> Double? { stat.indices.contains(number - 3) ? Double(stat[number - 3]) : nil }
        // Numbers as in proc(5).
        let cpu = field(14).flatMap { user in field(15).map { (user + $0) / ticks } }
        let started = field(22).flatMap { start in bootTime().map { $0 + start / ticks } }
        return [
            cpu, field(24).map { $0 * Double(units.pageBytes) }, field(23), field(20), started,
            openDescriptors().map(Double.init), descriptorLimit(),
        ]
    }

    /// The fields of a stat line from the third on. The second, the command in parentheses, may hold anything.
    internal static func statFields(_ line: [UInt8]) -> [Int] {
        guard let close = line.lastIndex(of: UInt8(ascii: ")")) else { return [] }
        return line[(close + 1)...].split(separator: UInt8(ascii: " ")).map { number(in: Array($0), after: "") ?? 0 }
    }

    private static func bootTime() -> Double? {
        contents(ofSmallFile: "/proc/stat").flatMap { number(in: $0, after: "btime ") }.map(Double.init)
    }

    private static func descriptorLimit() -> Double? {
        contents(ofSmallFile: "/proc/self/limits").flatMap { number(in: $0, after: "Max open files") }.map(Double.init)
    }

    /// The first number behind the first occurrence of `name`.
    internal static func number(in text: [UInt8], after name: StaticString) -> Int? {
        var index = 0
        while index + name.utf8CodeUnitCount <= text.count {
            if bytesBegin(text.span.extracting(index...), with: name) { break }
            index += 1
        }
        index += name.utf8CodeUnitCount
        while index < text.count, text[index] == UInt8(ascii: " ") { index += 1 }
        return index < text.count ? try? readDecimal(text.span, at: &index, limit: .max) : nil
    }
}
