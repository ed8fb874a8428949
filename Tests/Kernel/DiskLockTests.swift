import Glibc
import KernelStorage
import KernelStructures
import TestSupport
import Testing

/// Who may have a directory to himself, on either disk.
@Suite struct DiskLockTests {
    private static func onBoth(_ body: (any Disk) throws -> Void) throws {
        try body(SimulatedDisk())
        let directory = TemporaryDirectory()
        defer { withExtendedLifetime(directory) {} }
        let disk = try FileDisk(root: directory.path)
        try body(disk)
    }

    @Test("one owner at a time; he gets it again, and the one he had before frees nothing any more")
    func owners() throws {
        try Self.onBoth { disk in
            let (a, b) = (DiskOwner(1), DiskOwner(2))
            let first = try disk.lock("/LOCK", owner: a)
            #expect(throws: DiskError.busy("/LOCK")) { try disk.lock("/LOCK", owner: b) }
            let second = try disk.lock("/LOCK", owner: a)
            first.release()
            #expect(throws: DiskError.busy("/LOCK")) { try disk.lock("/LOCK", owner: b) }
            second.release()
            second.release()
            var third: DiskLock? = try disk.lock("/LOCK", owner: b)
            #expect(throws: DiskError.busy("/LOCK")) { try disk.lock("/LOCK", owner: a) }
            #expect(third != nil)
            third = nil
            _ = try disk.lock("/LOCK", owner: a)
        }
    }

    @Test("a pipe of the host is no file, and nobody waits for somebody at its other end")
    func pipes() throws {
        let directory = TemporaryDirectory()
        defer { withExtendedLifetime(directory) {} }
        mkfifo(directory.path + "/pipe", 0o600)
        // With a reader and a writer there already, whoever opens it without looking fails here and does not hang.
        let descriptor = Glibc.open(directory.path + "/pipe", O_RDWR | O_NONBLOCK)
        defer { Glibc.close(descriptor) }
        let disk = try FileDisk(root: directory.path)
        for options: OpenOptions in [[], .write, [.write, .create, .truncate]] {
            #expect(throws: DiskError.notFile("/pipe")) { try disk.open("/pipe", options, owner: .lab) }
        }
        #expect(try disk.attributes("/pipe").isSpecial && !disk.attributes("/").isSpecial)
    }
}
