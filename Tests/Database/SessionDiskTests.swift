import DatabaseEngine
import KernelStorage
import KernelWire
import Testing

/// What a cluster does when its disk is full, fails, or has files on it that are not its own.
@Suite struct SessionDiskTests {
    private func filled() throws -> (SessionBench, SessionClient) {
        let bench = try SessionBench { $0.checkpointByteCount = 1 << 16 }
        let client = bench.client()
        client.ask("create table t(a text); insert into t select repeat('x', 100) from generate_series(1, 1000)")
        try bench.cluster.commit()
        return (bench, client)
    }

    @Test func aLogThatCannotBeCopiedIsKeptAndReadOn() throws {
        let (bench, client) = try filled()
        bench.cluster.disk.faults.isFull = true
        #expect(bench.cluster.needsCheckpoint)
        #expect { try bench.cluster.checkpoint() } throws: { ($0 as? PostgresError)?.severity == .error }
        #expect(!bench.cluster.needsCheckpoint, "it is tried again when the log has grown, not at each commit")
        #expect(client.ask("checkpoint") == ["53100", "I"])
        #expect(client.ask("select count(*) from t") == ["1000", "SELECT 1", "I"])
        try bench.cluster.commit()
        bench.cluster.disk.faults.isFull = false
        #expect(client.ask("checkpoint") == ["CHECKPOINT", "I"])
    }

    @Test func aCheckpointWhoseSyncFailsIsTheEnd() throws {
        let (bench, client) = try filled()
        bench.cluster.disk.faults.failingSyncs = 1
        #expect(client.ask("checkpoint") == ["58030"])
        #expect { try bench.cluster.commit() } throws: { ($0 as? PostgresError)?.severity == .panic }
    }

    @Test func aFileThatIsNoDatabaseIsNamed() throws {
        let disk = SimulatedDisk()
        let node = NodeDisk(base: disk, owner: DiskOwner(1))
        try node.makeDirectory("/pg")
        try node.makeDirectory("/pg/base")
        try node.store(Array("hi, this is not the header of any database at all".utf8), at: "/pg/base/stray.db")
        #expect { _ = try SessionBench(disk) } throws: {
            ($0 as? PostgresError)?.message.contains("/pg/base/stray.db: ") == true
        }
    }

    @Test func aDatabaseMayBeMadeAgainWhereADropWasCutShort() throws {
        let disk = SimulatedDisk()
        let bench = try SessionBench(disk)
        let client = bench.client()
        #expect(client.ask("create database other") == ["CREATE DATABASE", "I"])
        #expect(client.ask("drop database other") == ["DROP DATABASE", "I"])
        let node = NodeDisk(base: disk, owner: DiskOwner(1))
        try node.store(Array("half of it".utf8), at: "/pg/base/other.db-wal")
        #expect(client.ask("create database other") == ["CREATE DATABASE", "I"])
        #expect(bench.client(database: "other").ask("select 1") == ["1", "SELECT 1", "I"])
    }
}
