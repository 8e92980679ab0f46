package import Bytes
internal import Glibc
package import Reactor
package import TLS

/// One connected socket, with or without TLS, on one reactor.
///
/// Reads go to the delegate as they come; writes gather in `output` and leave in one `write(2)` at the end of the
/// round. A peer that does not read stops us: `output` grows only as far as the delegate lets it.
package final class ByteStream: SocketHandler, RoundHandler, TimerHandler {
    /// Above this many unsent bytes the producer should pause; `drained` comes below half of it.
    package static let highWater = 64 * 1024
    /// Memory kept for the next write when all is sent.
    private static let keptCapacity = 4096
    private static let readsPerTurn = 4
    private static let copiedBody = 16 * 1024

    package let reactor: Reactor
    package let peer: SocketAddress?
    package unowned(unsafe) var delegate: any ByteStreamDelegate
    /// Plaintext to send. Append, then call `touch`.
    package var output = ByteQueue()
    /// Bytes of one read, at most 64 KiB. What is read of an endpoint may have to wait for a client, whole.
    package var readSize = 64 * 1024
    /// Whether the delegate has something to add to `output` at the end of a round.
    package var asksForOutput = false
    /// How long the peer may take nothing while something waits, in nanoseconds.
    package var writeTimeout: Int64 = 30_000_000_000
    package private(set) var isOpen = true
    package private(set) var isReadingPaused = false
    package let tls: TLSEngine?

    private var descriptor: Int32
    private var slot: Int32 = -1
    private var body: RequestBody?
    /// Bytes of `body` not yet taken by the kernel.
    private var bodyLeft = 0
    private var meter: TrafficMeter
    private var timer = MovingDeadline()
    private var delegateDeadline = Int64.max
    private var writeDeadline = Int64.max
    private var isReadable = false
    private var isHungUp = false
    private var isDirty = false
    private var isBlocked = false
    private var isAboveHighWater = false
    private var closesWhenSent = false
    private var endsOutputWhenSent = false
    private var ownDelegate: DetachedDelegate?
    private var isAskedAgain = false
    private var isEstablishedReported = false

    /// Takes over a connected, non-blocking descriptor.
    package init(
        _ descriptor: Int32, peer: SocketAddress?, tls: TLSEngine?, meter: TrafficMeter, on reactor: Reactor,
        delegate: any ByteStreamDelegate
    ) throws(ReactorError) {
        self.descriptor = descriptor
        self.peer = peer
        self.tls = tls
        self.meter = meter
        self.reactor = reactor
        self.delegate = delegate
        do throws(ReactorError) {
            slot = try reactor.register(descriptor, self)
        } catch {
            Glibc.close(descriptor)
            self.descriptor = -1
            throw error
        }
        meter.opened()
        // A client handshake speaks first.
        if tls != nil { touch() }
    }

    deinit {
        if descriptor >= 0 { Glibc.close(descriptor) }
    }

    /// Counts from now on as another protocol, once that is known.
    package func count(as other: TrafficMeter) {
        meter.closed()
        meter = other
        meter.opened()
    }

    /// Bytes not yet taken by the kernel.
    package var unsent: Int { output.count + (tls?.output.count ?? 0) + bodyLeft }

    /// Whether the producer should pause.
    package var isFull: Bool { unsent > ByteStream.highWater }

    // MARK: Reading

    /// Stops reading; the peer is slowed down by TCP.
    package func pauseReading() { isReadingPaused = true }

    /// Reads again; what waits comes in the next round, never within this call.
    package func resumeReading() {
        guard isReadingPaused, isOpen else { return }
        isReadingPaused = false
        if isReadable || isHungUp || tls?.hasUnreadInput == true { askAgain() }
    }

    private func askAgain() {
        guard !isAskedAgain else { return }
        isAskedAgain = true
        reactor.callAgain(self)
    }

    package func socketReady(_ readiness: Readiness) {
        isAskedAgain = false
        guard isOpen else { return }
        if readiness.contains(.readable) { isReadable = true }
        if !readiness.isDisjoint(with: .hungUp) {
            isHungUp = true
            isReadable = true
        }
        if readiness.contains(.writable), isBlocked {
            isBlocked = false
            touch()
        }
        if isReadingPaused {
            if isHungUp { delegate.inputEnded() }
        } else if isReadable || tls != nil {
            readAvailable()
            // The end may have come with the bytes that made the delegate pause; no other edge tells of it.
            if isOpen, isReadingPaused, isHungUp { delegate.inputEnded() }
        }
    }

    private func readAvailable() {
        if let tls, tls.hasUnreadInput, !deliverPlaintext(tls) { return }
        for _ in 0..<ByteStream.readsPerTurn {
            guard isOpen, !isReadingPaused, isReadable else { return }
            let buffer = UnsafeMutableRawBufferPointer(rebasing: reactor.readBuffer[..<readSize])
            let count = Glibc.recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 {
                meter.received(count)
                // A short read has emptied the socket; the next byte brings a new edge.
                if count < buffer.count, !isHungUp { isReadable = false }
                let bytes = UnsafeRawBufferPointer(start: buffer.baseAddress, count: count)
                if let tls {
                    tls.receive(bytes)
                    let goesOn = deliverPlaintext(tls)
                    tls.endReceive()
                    if !goesOn { return }
                } else {
                    delegate.received(Span(_unsafeBytes: bytes))
                }
            } else if count == 0 {
                isReadable = false
                if let tls {
                    tls.receiveEnd()
                    _ = deliverPlaintext(tls)
                } else {
                    delegate.inputEnded()
                }
                return
            } else if errno == EAGAIN {
                isReadable = false
                return
            } else if errno != EINTR {
                fail(.system(errno))
                return
            }
        }
        if isOpen, !isReadingPaused, isReadable { askAgain() }
    }

    /// Decrypts what has come. Returns whether reading may go on.
    private func deliverPlaintext(_ tls: TLSEngine) -> Bool {
        while isOpen, !isReadingPaused {
            let result = tls.read(into: reactor.plainBuffer)
            if tls.output.count > 0 { touch() }
            if tls.isEstablished, !isEstablishedReported {
                isEstablishedReported = true
                delegate.established()
                guard isOpen else { return false }
            }
            switch result {
            case .bytes(let count):
                delegate.received(
                    Span(_unsafeBytes: UnsafeRawBufferPointer(start: reactor.plainBuffer.baseAddress, count: count)))
            case .wantsInput:
                return isOpen
            case .closed:
                delegate.inputEnded()
                return false
            case .failed(let error):
                // The alert tells the peer why.
                _ = write(&tls.output)
                fail(.tls(error))
                return false
            }
        }
        return false
    }

    // MARK: Writing

    /// Sends what is in `output` at the end of this round.
    package func touch() {
        guard !isDirty, isOpen else { return }
        isDirty = true
        reactor.callAtRoundEnd(self)
    }

    /// Sends `body` after what is in `output` now, without copying it where there is no TLS.
    package func send(_ body: RequestBody) {
        if body.bytes.isEmpty { return touch() }
        // Up to a page or four a copy costs less than the two pieces do in the kernel.
        if tls == nil, body.bytes.count > ByteStream.copiedBody {
            self.body = body
            bodyLeft = body.bytes.count
        } else {
            output.append(body.bytes.bytes)
        }
        touch()
    }

    package func roundEnded() {
        isDirty = false
        guard isOpen else { return }
        let hasMore = asksForOutput && delegate.prepareOutput()
        guard isOpen else { return }
        // Before the write: a producer that saw the mark passed waits for `drained`, even if all leaves at once.
        if unsent >= ByteStream.highWater { isAboveHighWater = true }
        flushNow()
        if hasMore, isOpen, unsent == 0 { touch() }
    }

    private func flushNow() {
        guard isOpen, !isBlocked else { return }
        if let tls, output.count > 0, tls.isEstablished {
            do throws(TLSError) {
                try tls.write(output.bytes)
                output.consume(output.count)
            } catch {
                return fail(.tls(error))
            }
        }
        let written: Written
        if let tls {
            written = write(&tls.output)
        } else {
            written = bodyLeft == 0 ? write(&output) : writeBody()
        }
        switch written {
        case .all:
            allSent()
        case .blocked:
            isBlocked = true
            writeDeadline = reactor.now &+ writeTimeout
            armTimer()
        case .failed(let code):
            return fail(.system(code))
        }
        if isOpen { noteWaterMarks() }
    }

    private func allSent() {
        if writeDeadline != .max { writeDeadline = .max }
        if output.capacity > ByteStream.keptCapacity, output.isEmpty { output.removeAll() }
        if let tls, tls.output.capacity > ByteStream.keptCapacity { tls.output.removeAll() }
        if endsOutputWhenSent { endOutput() }
        if closesWhenSent { close() }
    }

    private func noteWaterMarks() {
        guard isAboveHighWater, unsent <= ByteStream.highWater / 2 else { return }
        isAboveHighWater = false
        delegate.drained()
    }

    private enum Written {
        case all, blocked
        case failed(Int32)
    }

    private func writeBody() -> Written {
        guard let body else { return .all }
        let rest = body.bytes.bytes.baseAddress! + (body.bytes.count - bodyLeft)
        var parts = (
            iovec(iov_base: UnsafeMutableRawPointer(mutating: output.bytes.baseAddress), iov_len: output.count),
            iovec(iov_base: UnsafeMutableRawPointer(mutating: rest), iov_len: bodyLeft)
        )
        let count = withUnsafePointer(to: &parts) {
            $0.withMemoryRebound(to: iovec.self, capacity: 2) { writev(descriptor, $0, 2) }
        }
        guard count >= 0 else { return errno == EAGAIN || errno == EINTR ? .blocked : .failed(errno) }
        meter.sent(count)
        let ofOutput = min(count, output.count)
        output.consume(ofOutput)
        bodyLeft -= count - ofOutput
        if bodyLeft == 0 { self.body = nil }
        return bodyLeft == 0 && output.isEmpty ? .all : .blocked
    }

    /// Touches nothing but the descriptor and `queue`, which the caller holds exclusively.
    private func write(_ queue: inout ByteQueue) -> Written {
        while queue.count > 0 {
            let bytes = queue.bytes
            let count = Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            if count < 0 {
                if errno == EINTR { continue }
                return errno == EAGAIN ? .blocked : .failed(errno)
            }
            meter.sent(count)
            queue.consume(count)
            if count < bytes.count { return .blocked }
        }
        return .all
    }

    // MARK: Deadlines

    /// Calls `deadlinePassed` at `deadline` (nanoseconds of the reactor's clock) unless it is moved or cleared.
    package func setDeadline(_ deadline: Int64) {
        delegateDeadline = deadline
        if deadline != .max { armTimer() }
    }

    /// Takes the deadline back.
    package func clearDeadline() { delegateDeadline = .max }

    private func armTimer() {
        timer.set(min(delegateDeadline, writeDeadline), on: reactor, self)
    }

    package func timerFired() {
        guard timer.isDue(on: reactor, self), isOpen else { return }
        if writeDeadline <= reactor.now { return fail(.writeStalled) }
        if delegateDeadline <= reactor.now {
            delegateDeadline = .max
            delegate.deadlinePassed()
        }
        if isOpen, min(delegateDeadline, writeDeadline) != .max { armTimer() }
    }

    // MARK: Ending

    /// Closes once everything is sent.
    package func closeWhenSent() {
        closesWhenSent = true
        if unsent == 0, !isDirty { close() } else { touch() }
    }

    /// Says, once everything is sent, that we send no more; the socket stays open to read what the peer still sends.
    package func endOutputWhenSent() {
        endsOutputWhenSent = true
        touch()
    }

    private func endOutput() {
        endsOutputWhenSent = false
        if let tls {
            tls.close()
            _ = write(&tls.output)
        }
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Lets the delegate go; what still waits is sent, then the stream closes: within `limit` nanoseconds, if not 0.
    package func detach(within limit: Int64 = 0) {
        let delegate = DetachedDelegate(self)
        ownDelegate = delegate
        self.delegate = delegate
        clearDeadline()
        guard isOpen else { return }
        if limit > 0 { setDeadline(reactor.now + limit) }
        closeWhenSent()
    }

    /// Closes at once; what is unsent is lost. With `reset` the peer learns that the end is not regular.
    package func close(reset: Bool = false) {
        guard isOpen else { return }
        isOpen = false
        if let tls, !reset {
            tls.close()
            _ = write(&tls.output)
        }
        if reset { Sockets.resetOnClose(descriptor) }
        meter.closed()
        timer.cancel(on: reactor)
        reactor.unregister(slot, descriptor: descriptor)
        Glibc.close(descriptor)
        descriptor = -1
        body = nil
        bodyLeft = 0
    }

    private func fail(_ failure: StreamFailure) {
        guard isOpen else { return }
        // A reset would overtake the alert that tells the peer what was wrong with its TLS.
        if case .tls = failure { close() } else { close(reset: true) }
        delegate.failed(failure)
    }
}
