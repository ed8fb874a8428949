import KernelStorage
import KernelStructures
import TestSupport
import Testing

@testable import KVStoreEngine

/// Every single bit of every file, turned over: the store says that something is wrong, or nothing is.
@Suite struct BitFlipTests {
    @Test("every bit of a closed store")
    func closed() throws { try everyBit(isClosed: true) }

    @Test("every bit of a store that was killed, with writes in its log")
    func killed() throws { try everyBit(isClosed: false) }

    private static let keyCount = isLong ? 400 : 60

    private func everyBit(isClosed: Bool) throws {
        let (files, states) = try Self.makeStore(isClosed: isClosed)
        let size = files.reduce(0) { $0 + $1.bytes.count }
        #expect(size <= 32 << 10 && files.contains { $0.name.hasSuffix(".sst") })
        let whole = try Self.read(files)
        #expect(whole.isWhole && whole.contents == states.last)
        for (index, file) in files.enumerated() {
            for bit in 0..<file.bytes.count * 8 {
                var flipped = files
                flipped[index].bytes[bit / 8] ^= 1 << UInt8(bit % 8)
                let seen: Reading
                do { seen = try Self.read(flipped) } catch { continue }
                // What was reported as dropped from the end of a log may be missing, and nothing else.
                let isRight = seen.isWhole ? seen.contents == states.last : states.contains(seen.contents)
                if !isRight {
                    Issue.record("bit \(bit % 8) of byte \(bit / 8) of \(file.name) goes unnoticed")
                    return
                }
            }
        }
    }

    private struct StoredFile {
        let name: String
        var bytes: [UInt8]
    }

    private struct Reading {
        let contents: [String: String]
        /// Nothing was reported as lost.
        let isWhole: Bool
    }

    /// A store with several tables and a log, and what each of its writes left.
    private static func makeStore(isClosed: Bool) throws -> ([StoredFile], states: [[String: String]]) {
        let bench = Bench()
        let store = try bench.open()
        var state: [String: String] = [:]
        var states = [state]
        func put(_ key: String, _ value: String?) throws {
            if let value { try store.put(key, value) } else { try store.delete(key.utf8) }
            state[key] = value
            try store.commit(sync: true)
            states.append(state)
        }
        for index in 0..<keyCount {
            try put("key\(index * 7 % keyCount)", "value \(index)")
            if index % (keyCount / 3) == keyCount / 3 - 1 {
                try store.requestFlush()
                bench.workAll()
            }
        }
        for index in 0..<6 { try put("key\(index)", index % 3 == 0 ? nil : "newer \(index)") }
        if isClosed { try store.close() }
        let files = try bench.files.map { name in
            StoredFile(name: name, bytes: try bench.node.contents(of: bench.path(name)))
        }
        return (files, states)
    }

    private static func read(_ files: [StoredFile]) throws -> Reading {
        let bench = Bench()
        try bench.disk.makeDirectory(Bench.directory, owner: .lab)
        for file in files { try bench.node.store(file.bytes, at: bench.path(file.name)) }
        bench.options.isReadOnly = true
        let store = try bench.open()
        let isWhole = !store.takeEvents().contains { if case .logTailDropped = $0 { true } else { false } }
        let contents = try bench.contents()
        for index in 0..<keyCount {
            let key = "key\(index)"
            let value = try store.value(key)
            if value != contents[key] { return Reading(contents: ["gets": "and iterators disagree"], isWhole: true) }
        }
        return Reading(contents: contents, isWhole: isWhole)
    }
}
