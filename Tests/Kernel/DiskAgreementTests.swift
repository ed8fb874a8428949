import Glibc
import KernelStorage
import KernelStructures
import TestSupport
import Testing

@Suite("Paths and disks")
struct DiskAgreementTests {
    @Test(
        "paths are made absolute and never leave the root",
        arguments: [
            ("", "/"), ("/", "/"), ("a", "/d/a"), ("/a//b/./c/", "/a/b/c"), ("../../..", "/"),
            ("/../../etc/passwd", "/etc/passwd"),
            ("/a/../../b", "/b"), ("..a", "/d/..a"), ("/.../x", "/.../x"), ("./.", "/d"), ("/a/b/../..", "/"),
        ])
    func normalized(_ path: String, _ expected: String) {
        #expect(DiskPath.normalized(path, in: "/d") == (path.isEmpty ? "/d" : expected))
    }

    @Test("no combination of dots, slashes and strange characters leaves a .. in a path")
    func escapes() {
        var random = SeededRandom(seed: 4)
        let pieces = [
            "/", "..", ".", "a", "\u{301}", "\u{200D}", "é", "\0", "\r\n", "/..", "../", "\u{FE0F}", "~", "\\",
        ]
        for _ in 0..<50_000 {
            let path = (0..<random.below(9)).map { _ in pieces[random.below(pieces.count)] }.joined()
            let result = DiskPath.normalized(path, in: "/d")
            let parts = result.utf8.split(separator: UInt8(ascii: "/"))
            let isBad =
                !result.utf8.starts(with: "/".utf8)
                || parts.contains { $0.elementsEqual("..".utf8) || $0.elementsEqual(".".utf8) }
            if isBad { Issue.record("\(Array(path.utf8)) became \(Array(result.utf8))") }
            if DiskPath.normalized(result) != result { Issue.record("not stable: \(Array(path.utf8))") }
        }
    }

    @Test("parents and names are taken apart and fit together")
    func parents() {
        #expect(DiskPath.parent(of: "/a/b") == "/a" && DiskPath.name(of: "/a/b") == "b")
        #expect(DiskPath.parent(of: "/a") == "/" && DiskPath.name(of: "/a") == "a")
        #expect(DiskPath.parent(of: "/") == "/" && DiskPath.name(of: "/") == "")
        #expect(DiskPath.parent(of: "/a/\u{301}b") == "/a")
    }

    @Test("both disks give the same results for the same operations", arguments: 1...30 as ClosedRange<UInt64>)
    func agreement(_ seed: UInt64) throws {
        let directory = TemporaryDirectory()
        var onHost = Script(disk: try FileDisk(root: directory.path), seed: seed)
        var simulated = Script(disk: SimulatedDisk(), seed: seed)
        for step in 1...250 {
            let (a, b) = (onHost.step(), simulated.step())
            guard a == b else {
                Issue.record("seed \(seed), step \(step): \(a) on the host's disk, \(b) on the simulated one")
                return
            }
        }
    }

    @Test("a root that is no directory is refused")
    func badRoot() throws {
        let directory = TemporaryDirectory()
        _ = try FileDisk(root: directory.path).open("/file", [.write, .create], owner: .lab)
        #expect(throws: DiskError.self) { try FileDisk(root: directory.path + "/missing") }
        #expect(throws: DiskError.self) { try FileDisk(root: directory.path + "/file") }
    }

    @Test("links that lead out of the root are refused, those to nowhere included")
    func links() throws {
        let directory = TemporaryDirectory()
        let outside = TemporaryDirectory()
        let disk = try FileDisk(root: directory.path)
        _ = try disk.open("/real", [.write, .create], owner: .lab)
        #expect(symlink(outside.path, directory.path + "/out") == 0)
        #expect(symlink(outside.path + "/created", directory.path + "/dangling") == 0)
        #expect(symlink(directory.path + "/real", directory.path + "/inside") == 0)
        #expect(throws: DiskError.notPermitted("/out/x")) { try disk.open("/out/x", [.write, .create], owner: .lab) }
        #expect(throws: DiskError.notPermitted("/dangling")) {
            try disk.open("/dangling", [.write, .create], owner: .lab)
        }
        #expect(throws: DiskError.notPermitted("/out")) { try disk.list("/out") }
        #expect(throws: DiskError.notPermitted("/out/d")) { try disk.makeDirectory("/out/d", owner: .lab) }
        #expect(try FileDisk(root: outside.path).list("/") == [], "nothing was made outside")
        _ = try disk.open("/inside", [], owner: .lab)
        #expect(throws: DiskError.notPermitted("/a\0b")) { try disk.open("/a\0b", [.write, .create], owner: .lab) }
        #expect(throws: DiskError.notPermitted("/")) { try disk.remove("/", owner: .lab) }
    }
}

/// A row of random operations; each answers with what happened, as text.
private struct Script {
    let disk: any Disk
    var random: SeededRandom
    var open: [(path: String, file: any DiskFile)] = []

    init(disk: any Disk, seed: UInt64) {
        self.disk = disk
        random = SeededRandom(seed: seed)
    }

    private mutating func path() -> String {
        let names = ["a", "b", "c", "d/a", "d/b", "d", "d/e", "d/e/a", "a/x", "missing/x", ""]
        return "/" + names[random.below(names.count)]
    }

    private static let optionSets: [OpenOptions] = [
        [], .write, [.write, .create], [.write, .create, .truncate], [.write, .create, .exclusive], .truncate, .create,
    ]

    mutating func step() -> String {
        do {
            return try perform()
        } catch let error as DiskError {
            return "\(error)"
        } catch {
            return "? \(error)"
        }
    }

    private mutating func perform() throws -> String {
        let owner = DiskOwner(random.below(3))
        switch random.below(12) {
        case 0, 1:
            let path = path()
            let options = Self.optionSets[random.below(Self.optionSets.count)]
            open.append((path, try disk.open(path, options, owner: owner)))
            return "opened \(path)"
        case 2:
            let path = path()
            return "\(path) \(try disk.attributes(path))"
        case 3:
            let path = path()
            return "\(path) \(try disk.list(path))"
        case 4:
            let path = path()
            try disk.makeDirectory(path, owner: owner)
            return "made \(path)"
        case 5:
            let path = path()
            try disk.remove(path, owner: owner)
            return "removed \(path)"
        case 6:
            let (source, target) = (path(), path())
            do {
                try disk.rename(source, to: target, owner: owner)
            } catch {
                // The kernel does not say which of the two paths it means.
                return "renaming: \("\(error)".split(separator: ": ").last ?? "")"
            }
            return "renamed \(source) to \(target)"
        case 7:
            let path = path()
            try disk.syncDirectory(path, owner: owner)
            return "synced \(path)"
        default: return try useFile()
        }
    }

    private mutating func useFile() throws -> String {
        let (choice, operation, offset, count) = (
            random.below(max(1, open.count)), random.below(6), random.below(3000), random.below(2000)
        )
        let bytes = randomBytes(count, seed: random.next())
        guard !open.isEmpty else { return "nothing open" }
        let file = open[choice].file
        switch operation {
        case 0, 1: try file.write(bytes, at: offset)
        case 2: try file.truncate(to: offset)
        case 3: try file.sync()
        case 4: return "read \(try file.read(at: offset, count: count))"
        default:
            if offset < 2000 { return "\(file.size)" }
            file.close()
            return "closed, \(file.size)"
        }
        return "\(open[choice].path) has \(file.size)"
    }
}
