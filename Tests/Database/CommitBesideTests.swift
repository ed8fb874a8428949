import DatabaseEngine
import KernelStorage
import KernelWire
import TestSupport
import Testing

/// Commits whose syncs are done by threads: who waits for them, and what becomes of one that fails.
@Suite struct CommitBesideTests {
    @Test("while a sync is under way those wait who may have seen what it covers, and nobody else")
    func whoWaits() throws {
        let directory = TemporaryDirectory()
        let bench = try SessionBench(try FileDisk(root: directory.path))
        let (writer, reader) = (bench.client(), bench.client())
        let elsewhere = bench.client(database: "template1")
        writer.ask("create table t(a int)")
        try bench.cluster.commit()
        let all: [DatabaseSession] = [writer.session, reader.session, elsewhere.session]
        #expect(all.allSatisfy { $0.needsNoCommit })
        writer.ask("insert into t values (1)")
        #expect(all.map { $0.needsNoCommit } == [false, false, true])
        let syncs = try bench.cluster.beginCommit(beside: true)
        #expect(syncs.map { $0.database.name } == ["postgres"])
        #expect(all.map { $0.needsNoCommit } == [false, false, true], "it is not durable yet")
        writer.ask("insert into t values (2)")
        try bench.cluster.finishCommit(syncs, syncs.map { $0.sync.run() })
        #expect(all.map { $0.needsNoCommit } == [false, false, true], "the second is not durable yet")
        #expect(try bench.cluster.beginCommit(beside: false).isEmpty)
        #expect(all.allSatisfy { $0.needsNoCommit } && bench.cluster.syncCount == 3)
        #expect(reader.ask("select count(*) from t") == ["2", "SELECT 1", "I"])
    }

    @Test("a transaction that has written and is open keeps nobody else from being answered")
    func openTransaction() throws {
        let bench = try SessionBench()
        let (writer, reader) = (bench.client(), bench.client())
        writer.ask("create table t(a int)")
        try bench.cluster.commit()
        writer.ask("begin; insert into t values (1)")
        #expect(writer.session.needsNoCommit && reader.session.needsNoCommit)
        writer.ask("commit")
        #expect(!writer.session.needsNoCommit && !reader.session.needsNoCommit)
    }

    @Test("a sync that a thread could not do is the end, as one on the loop")
    func failure() throws {
        let directory = TemporaryDirectory()
        let bench = try SessionBench(try FileDisk(root: directory.path))
        let writer = bench.client()
        writer.ask("create table t(a int)")
        try bench.cluster.commit()
        writer.ask("insert into t values (1)")
        let syncs = try bench.cluster.beginCommit(beside: true)
        #expect(syncs.count == 1)
        #expect {
            try bench.cluster.finishCommit(syncs, [DiskError.failed("/pg/base/postgres.db-wal", operation: "sync")])
        } throws: { ($0 as? PostgresError)?.severity == .panic }
        #expect(!writer.session.needsNoCommit)
        #expect { try bench.cluster.commit() } throws: { ($0 as? PostgresError)?.severity == .panic }
        bench.cluster.abandon()
    }
}
