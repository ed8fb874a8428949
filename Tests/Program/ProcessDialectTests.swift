import TestSupport
import Testing

/// The documented dialect beside PostgreSQL 15: `Tests/Dialect` holds the statements, and `compare.py` the comparison.
@Suite(.serialized) struct ProcessDialectTests {
    private static let directory =
        "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/Dialect"

    @Test(
        "the same rows, columns, tags and SQLSTATEs as PostgreSQL 15",
        .enabled(if: TestPython.canRun && ProgramTool.canRun("psql")))
    func sameAsPostgreSQL() throws {
        let directory = try ProgramDirectory()
        let port = try ProgramPort.free()
        let server = try ProgramProcess.service("postgres", "--data-dir", directory.path + "/pg", port: port)
        defer { withExtendedLifetime(server) {} }
        let output = try TestPython.run(
            """
            import sys, tempfile
            sys.path.insert(0, "\(Self.directory)")
            import compare
            with tempfile.TemporaryDirectory(prefix="sdlab-postgres-") as directory:
                compare.main(\(port), directory, [])
            """)
        #expect(output.hasPrefix("0 of "), "\(output)")
    }
}
