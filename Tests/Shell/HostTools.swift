import Foundation

/// Programs of the host as oracles: bash, the GNU text tools, curl.
enum HostTools {
    struct Result {
        var output: String
        var errorOutput: String
        var status: Int
    }

    static func path(of name: String) -> String? {
        [
            "/usr/bin/", "/bin/",
            "/usr/local/bin/",
        ].map { $0 + name }.first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    static var hasBash: Bool { path(of: "bash") != nil && path(of: "timeout") != nil }

    /// Runs scripts, each in bash and in an empty directory of its own; one process drives them all.
    static func bash(_ scripts: [String], files: [String: String] = [:], locale: String = "C") throws -> [Result] {
        let root = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(at: root) }
        for (index, script) in scripts.enumerated() {
            try Data(script.utf8).write(to: root.appendingPathComponent("s\(index)"))
            let work = root.appendingPathComponent("w\(index)")
            try FileManager.default.createDirectory(at: work, withIntermediateDirectories: true)
            for (name, text) in files { try Data(text.utf8).write(to: work.appendingPathComponent(name)) }
        }
        let driver = """
            cd '\(root.path)' || exit 9
            i=0
            while [ $i -lt \(scripts.count) ]; do
                cd w$i; timeout 10 bash --norc ../s$i >../o$i 2>../e$i </dev/null; echo $? >../r$i; cd ..
                i=$((i+1))
            done
            """
        // What is ignored here (SIGPIPE, once a test has opened a socket) would be ignored there, and `trap` lists it.
        let process = Foundation.Process()
        process.executableURL = URL(fileURLWithPath: path(of: "env")!)
        process.arguments = ["--default-signal", path(of: "bash")!, "--norc", "-c", driver]
        process.environment = ["LC_ALL": locale, "PATH": "/usr/bin:/bin", "HOME": root.path]
        try process.run()
        process.waitUntilExit()
        return scripts.indices.map { index in
            let status = text(root, "r\(index)").trimmingCharacters(in: .whitespacesAndNewlines)
            return Result(
                output: text(root, "o\(index)"), errorOutput: text(root, "e\(index)"),
                status: Int(status) ?? -1)
        }
    }

    private static func text(_ root: URL, _ name: String) -> String {
        String(decoding: (try? Data(contentsOf: root.appendingPathComponent(name))) ?? Data(), as: UTF8.self)
    }

    static func temporaryDirectory() throws -> URL {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("sdlab-tests-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        return url
    }

    /// The program under test, which is built beside the tests; nil where it is not.
    static var sdlab: URL? {
        guard let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") else { return nil }
        let url = URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("sdlab")
        return FileManager.default.isExecutableFile(atPath: url.path) ? url : nil
    }
}
