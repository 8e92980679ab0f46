/// What picking wants to know of an endpoint, at one moment.
package struct EndpointReading: Sendable, Equatable {
    package let standing: Standing
    /// 1...1024: slow start.
    package let weight: Int
    package let inFlight: Int
    /// `Int.max`: none.
    package let limit: Int
    /// Time to the first token; 0: unknown.
    package let latencyNanos: Int
}
