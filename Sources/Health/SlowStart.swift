/// The weight of an endpoint that has to warm up: caches are cold, kernels are not compiled, memory is not mapped.
///
/// - SeeAlso: Envoy's slow start with aggression 1.0 and a least weight of 10 %.
internal enum SlowStart {
    /// The weight of an endpoint in full service.
    internal static let fullWeight = 1024
    /// 10 %.
    internal static let leastWeight = 102
    /// The beginning of a rise that is over.
    internal static let settled = Int64.min
    /// The beginning of a rise that has not begun.
    internal static let waiting = Int64.max

    /// - Parameters:
    ///   - beginning: When the endpoint came into service, or `settled` or `waiting`.
    ///   - length: Nanoseconds from the least weight to the full one; 0: none.
    /// - Returns: 102...1024.
    @inline(__always)
    internal static func weight(from beginning: Int64, length: Int64, at now: Int64) -> Int {
        if beginning == settled || length <= 0 { return fullWeight }
        if beginning == waiting || now <= beginning { return leastWeight }
        let elapsed = now - beginning
        if elapsed >= length { return fullWeight }
        let step = max(1, length / Int64(fullWeight - leastWeight))
        return min(fullWeight, leastWeight + Int(elapsed / step))
    }
}
