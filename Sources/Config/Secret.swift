/// Bytes that must not be seen: no description, dump or interpolation shows them.
package struct Secret: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The secret itself. Never log it.
    package let revealed: [UInt8]

    package init(_ bytes: [UInt8]) { revealed = bytes }
    package init(_ text: String) { revealed = Array(text.utf8) }

    package var description: String { "***" }
    package var debugDescription: String { "***" }
    package var customMirror: Mirror { Mirror(self, children: EmptyCollection<Mirror.Child>()) }
}
