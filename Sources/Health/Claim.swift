/// One request's place at an endpoint: from `EndpointRecord.claim` to `release`, which is called exactly once.
package struct Claim: Sendable, Equatable {
    /// Which time in or out of service it belongs to: what it says of another one is not heard.
    internal let generation: UInt8
    /// Whether it is the one request that finds out whether a half-open endpoint works again.
    package let isProbe: Bool

    internal init(generation: UInt8, isProbe: Bool) {
        self.generation = generation
        self.isProbe = isProbe
    }
}
