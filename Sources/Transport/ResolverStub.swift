package import Reactor
package struct ResolutionError: Error, CustomStringConvertible { package var description: String { "" } }
package final class Resolver: Sendable {
    package init() {}
    package func resolve(_ host: String, port: UInt16, _ done: @escaping @Sendable (Result<[SocketAddress], ResolutionError>) -> Void) {}
}
