package import Dispatch
internal import Glibc

/// Calls back when one of some files is another than before: edited in place, replaced by a rename, or reached through
/// a symbolic link that was swapped, as Kubernetes does with ConfigMaps and Secrets.
///
/// inotify only says that something happened in a directory on the way; whether a file is another is then judged by
/// what `stat` says of it. So files may be missing at first, and their directories, too.
// Sendable: all that changes is touched on `queue` alone.
package final class FileWatcher: @unchecked Sendable {
    /// From the first event to the judgement: an editor or a volume mount does several things at once.
    private static let settleTime = DispatchTimeInterval.milliseconds(150)

    private let queue: DispatchQueue
    private let descriptor: CInt
    private let source: any DispatchSourceRead
    private let onChange: @Sendable () -> Void
    /// The files, and how they were when last looked at.
    private var files: [String: FileSignature?] = [:]
    private var watches: Set<CInt> = []
    private var isSettling = false
    private var isCancelled = false

    /// Begins to watch; lives until `cancel()`.
    ///
    /// - Parameters:
    ///   - paths: Files, absolute or relative to the working directory.
    ///   - queue: Serial. `onChange` runs on it.
    package init(
        paths: [String], queue: DispatchQueue, onChange: @escaping @Sendable () -> Void
    ) throws(FileReadError) {
        self.queue = queue
        self.onChange = onChange
        let descriptor = inotify_init1(CInt(IN_NONBLOCK | IN_CLOEXEC))
        guard descriptor >= 0 else { throw .lastError() }
        self.descriptor = descriptor
        source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: queue)
        for path in paths { files[path] = .some(FileSignature(of: path)) }
        watchDirectories()
        // The source keeps self alive until it is cancelled, and then the descriptor is closed.
        source.setEventHandler { self.drain() }
        source.setCancelHandler { close(descriptor) }
        source.activate()
    }

    /// Watches these files from now on, instead of those before.
    package func watch(_ paths: [String]) {
        queue.async { [self] in
            guard !isCancelled else { return }
            let known = files
            files = [:]
            for path in paths { files[path] = known[path] ?? .some(FileSignature(of: path)) }
            watchDirectories()
        }
    }

    /// Ends; `onChange` does not run again once the queue has come to this.
    package func cancel() {
        queue.async { [self] in
            isCancelled = true
            source.cancel()
        }
    }

    /// Empties the descriptor: what happened does not matter, the files are looked at anyway.
    private func drain() {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while buffer.withUnsafeMutableBytes({ read(descriptor, $0.baseAddress, $0.count) }) > 0 {}
        guard !isSettling, !isCancelled else { return }
        isSettling = true
        queue.asyncAfter(deadline: .now() + Self.settleTime) { self.judge() }
    }

    private func judge() {
        isSettling = false
        guard !isCancelled else { return }
        // Watches first: what happens after the look below then makes an event.
        watchDirectories()
        let before = files
        for path in before.keys { files[path] = .some(FileSignature(of: path)) }
        if before != files { onChange() }
    }

    /// Watches the directories in which the way to some file can change, and no others.
    private func watchDirectories() {
        var wanted: Set<String> = []
        for path in files.keys { wanted.formUnion(directories(towards: path)) }
        let events =
            IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF
            | IN_MOVE_SELF
        // All of them, watched already or not: a name may stand for another directory by now, and two names for one.
        let current = Set(
            wanted.map { inotify_add_watch(descriptor, $0, UInt32(events)) }.filter { $0 >= 0 })
        for watch in watches.subtracting(current) { inotify_rm_watch(descriptor, watch) }
        watches = current
    }
}

/// What tells one state of a file from another. `nil` stands for a file that is not there.
private struct FileSignature: Equatable {
    private let device: dev_t
    private let inode: ino_t
    private let size: off_t
    private let changedSeconds: Int
    private let changedNanos: Int

    init?(of path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        device = status.st_dev
        inode = status.st_ino
        size = status.st_size
        changedSeconds = status.st_mtim.tv_sec
        changedNanos = status.st_mtim.tv_nsec
    }
}

/// The directories that hold `path`, or a symbolic link on the way to it; for one that is missing, the nearest that is
/// there.
private func directories(towards path: String) -> Set<String> {
    var found: Set<String> = []
    var next: String? = path.hasPrefix("/") ? path : "./" + path
    // The kernel follows 40 links, too.
    for _ in 0..<40 {
        guard let current = next else { break }
        next = nil
        var parent = parentDirectory(of: current)
        while access(parent, F_OK) != 0, parent != "/", parent != "." { parent = parentDirectory(of: parent) }
        found.insert(parent)
        if let link = firstLink(on: current) {
            found.insert(link.directory)
            next = link.path
        }
    }
    return found
}

/// The first symbolic link on the way to `path`: the directory it is in, and the path with the link followed.
private func firstLink(on path: String) -> (directory: String, path: String)? {
    var walked = path.hasPrefix("/") ? "" : "."
    let parts = path.split(separator: "/").filter { $0 != "." }
    for (index, part) in parts.enumerated() {
        let here = walked + "/" + part
        guard let target = linkTarget(of: here) else {
            walked = here
            continue
        }
        let rest = parts[(index + 1)...].map { "/" + $0 }.joined()
        return (walked.isEmpty ? "/" : walked, (target.hasPrefix("/") ? target : walked + "/" + target) + rest)
    }
    return nil
}

private func linkTarget(of path: String) -> String? {
    withUnsafeTemporaryAllocation(byteCount: Int(PATH_MAX), alignment: 1) { buffer in
        guard let address = buffer.baseAddress else { return nil }
        let count = readlink(path, address, buffer.count)
        return count > 0 ? String(decoding: UnsafeRawBufferPointer(rebasing: buffer[..<count]), as: UTF8.self) : nil
    }
}

private func parentDirectory(of path: String) -> String {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
}
