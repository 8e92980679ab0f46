import Config
import Dispatch
import Glibc
import Synchronization
import Testing

/// A directory of its own, and a watcher of files in it. Real inotify, real time.
@Suite(.timeLimit(.minutes(1))) struct FileWatcherTests {
    /// How often the watcher called, to be waited for.
    final class Calls: Sendable {
        private let count = Mutex(0)
        private let signal = DispatchSemaphore(value: 0)
        var total: Int { count.withLock { $0 } }

        func note() {
            count.withLock { $0 += 1 }
            signal.signal()
        }

        /// Whether a call came within `seconds`.
        func came(within seconds: Double = 5) -> Bool { signal.wait(timeout: .now() + seconds) == .success }
    }

    final class Folder {
        let path: String

        init() {
            var template = Array("/tmp/penstock-watch-XXXXXX".utf8CString)
            path = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
        }

        func write(_ name: String, _ text: String) {
            let file = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, 0o644)
            _ = text.withCString { Glibc.write(file, $0, strlen($0)) }
            close(file)
        }

        func link(_ name: String, to target: String) { symlink(target, "\(path)/\(name)") }
        func folder(_ name: String) { mkdir("\(path)/\(name)", 0o755) }
        func move(_ name: String, to other: String) { Glibc.rename("\(path)/\(name)", "\(path)/\(other)") }
        func remove(_ name: String) { Glibc.remove("\(path)/\(name)") }
        deinit { removeAll(path) }

        private func removeAll(_ path: String) {
            if let directory = opendir(path) {
                while let entry = readdir(directory) {
                    let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                        tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                    }
                    let child = "\(path)/\(name)"
                    // Links are removed, not followed.
                    if name == "." || name == ".." { continue }
                    if Glibc.unlink(child) != 0 { removeAll(child) }
                }
                closedir(directory)
            }
            Glibc.remove(path)
        }
    }

    private let queue = DispatchQueue(label: "watch")
    private let calls = Calls()

    private func watching(
        _ names: [String], in folder: Folder, _ body: (FileWatcher) throws -> Void
    ) throws {
        let calls = calls
        let watcher = try FileWatcher(paths: names.map { "\(folder.path)/\($0)" }, queue: queue) { calls.note() }
        defer { watcher.cancel() }
        try body(watcher)
    }

    @Test("a file written in place")
    func inPlace() throws {
        let folder = Folder()
        folder.write("a", "1")
        try watching(["a"], in: folder) { _ in
            folder.write("a", "22")
            #expect(calls.came())
        }
    }

    @Test("a file replaced as editors do, by a rename")
    func rename() throws {
        let folder = Folder()
        folder.write("a", "1")
        try watching(["a"], in: folder) { _ in
            folder.write("a.new", "1")
            folder.move("a.new", to: "a")
            #expect(calls.came())
        }
    }

    @Test("a ConfigMap updated as Kubernetes does, twice")
    func configMap() throws {
        let folder = Folder()
        for name in ["..1", "..2", "..3"] {
            folder.folder(name)
            folder.write("\(name)/a", name)
        }
        folder.link("..data", to: "..1")
        folder.link("a", to: "..data/a")
        try watching(["a"], in: folder) { _ in
            for name in ["..2", "..3"] {
                folder.link("..data_tmp", to: name)
                folder.move("..data_tmp", to: "..data")
                #expect(calls.came())
            }
            folder.write("..3/a", "in place behind the links")
            #expect(calls.came())
            #expect(calls.total == 3)
        }
    }

    @Test("a directory on the way that is itself a link, swapped")
    func linkedDirectory() throws {
        let folder = Folder()
        for name in ["v1", "v2"] {
            folder.folder(name)
            folder.write("\(name)/a", name)
        }
        folder.link("current", to: "v1")
        try watching(["current/a"], in: folder) { _ in
            folder.link("next", to: "v2")
            folder.move("next", to: "current")
            #expect(calls.came())
            folder.write("v2/a", "changed")
            #expect(calls.came())
        }
    }

    @Test("a file that comes later, in a directory that comes later, and goes again")
    func later() throws {
        let folder = Folder()
        try watching(["sub/a"], in: folder) { _ in
            folder.folder("sub")
            #expect(!calls.came(within: 0.4))
            folder.write("sub/a", "1")
            #expect(calls.came())
            folder.remove("sub/a")
            #expect(calls.came())
        }
    }

    @Test("several writes at once are one change, other files are none")
    func debounced() throws {
        let folder = Folder()
        folder.write("a", "1")
        folder.write("b", "1")
        try watching(["a", "b"], in: folder) { _ in
            folder.write("other", "1")
            #expect(!calls.came(within: 0.4))
            for size in 1...20 { folder.write(size.isMultiple(of: 2) ? "a" : "b", String(repeating: "x", count: size)) }
            #expect(calls.came())
            #expect(!calls.came(within: 0.4))
        }
    }

    @Test("the list of files can change, and an end is an end")
    func rewatch() throws {
        let folder = Folder()
        for name in ["one", "two"] {
            folder.folder(name)
            folder.write("\(name)/a", "1")
        }
        try watching(["one/a"], in: folder) { watcher in
            watcher.watch(["\(folder.path)/two/a"])
            queue.sync {}
            folder.write("one/a", "22")
            #expect(!calls.came(within: 0.4))
            folder.write("two/a", "22")
            #expect(calls.came())
            watcher.cancel()
            folder.write("two/a", "333")
            #expect(!calls.came(within: 0.4))
        }
    }
}
