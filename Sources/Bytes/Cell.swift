/// One value at an address of its own, which can be lent from there without being copied or moved.
///
/// A property of a class is lent by a coroutine, whose frame is allocated where its body cannot be inlined; the address
/// of a cell costs a load. Freed with its owner.
package struct Cell<Value: ~Copyable>: ~Copyable {
    /// Where the value lies as long as the cell lives.
    package let address: UnsafeMutablePointer<Value>

    /// A cell that holds `value`.
    package init(_ value: consuming Value) {
        address = .allocate(capacity: 1)
        address.initialize(to: value)
    }

    deinit {
        address.deinitialize(count: 1)
        address.deallocate()
    }
}
