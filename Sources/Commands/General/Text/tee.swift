import CommandKit
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var tee: Command {
        let description = CommandDescription(
            "tee", "passes on what it is given, and writes it to files", usage: "[-a] [FILE…]",
            flags: [
                .init("append", "a", "behind what is there"),
                .init("ignore-interrupts", "i", "goes on when it is interrupted (it is the lab's affair)"),
            ], arguments: .init([.file], 0...100),
            examples: ["curl -s http://localhost:8081/ | tee answer.txt | wc -c"], group: .files)
        return Command(description) { invocation in
            .running(
                Tee(
                    invocation.process, invocation.arguments.arguments, appends: invocation.arguments.has("append")))
        }
    }

    private final class Tee: Program {
        private let process: Process
        private let names: [String]
        private let appends: Bool
        private var files: [(name: String, file: LabFile)] = []
        /// Names that are none of files: `/dev/stderr`, `>(…)`.
        private var sinks: [any ByteSink] = []
        private var status = 0

        init(_ process: Process, _ names: [String], appends: Bool) {
            self.process = process
            self.names = names
            self.appends = appends
        }

        func start() {
            for name in names {
                if let sink = process.sink(named: name) {
                    sinks.append(sink)
                    continue
                }
                do throws(LabFileError) {
                    files.append((name, try process.session.files.openForWriting(name, appends: appends)))
                } catch {
                    complain(error)
                }
            }
            read()
        }

        private func complain(_ error: LabFileError) {
            process.complain(error.description)
            status = 1
        }

        private func read() {
            process.read(onBytes: { [weak self] in self?.take($0) }, onEnd: { [weak self] in self?.end() })
        }

        private func take(_ bytes: [UInt8]) {
            guard process.isRunning else { return }
            files = files.filter { _, file in
                do throws(LabFileError) {
                    try file.append(bytes)
                    return true
                } catch {
                    complain(error)
                    file.close()
                    return false
                }
            }
            for sink in sinks { sink.write(bytes) }
            process.output.write(bytes)
            if process.output.isBroken { return end(141) }
            let slow = ([process.output] + sinks).first { $0.isCongested && !$0.isBroken }
            guard let slow, process.pauseReading() else { return }
            slow.onDrained = { [weak self] in self?.read() }
        }

        private func end(_ status: Int? = nil) {
            for (_, file) in files { file.close() }
            files = []
            process.exit(status ?? self.status)
        }
    }

    static var cp: Command {
        let description = CommandDescription(
            "cp", "copies files of the lab", usage: "[-r] SOURCE… TARGET",
            flags: [.init("recursive", "r", "directories, too")], arguments: .init([.file], 2...1000),
            examples: ["cp lb.yaml lb.old.yaml"], group: .files)
        return Command(description) { invocation in
            let files = invocation.session.files
            for (source, place) in try places(invocation.arguments.arguments, in: files, to: "copy") {
                try copy(
                    source, to: place, in: files, recursively: invocation.arguments.has("recursive"), depth: 0)
            }
            return .success
        }
    }

    private static func copy(
        _ source: String, to target: String, in files: LabFiles, recursively: Bool, depth: Int
    ) throws {
        guard depth < 64 else { throw CommandFailure("\(source): directories more than 64 deep") }
        guard files.isDirectory(source) else {
            let bytes = try files.reading { try $0.read(source) }
            if files.absolute(source) == files.absolute(target) {
                throw CommandFailure("\(source) and \(target) are the same file")
            }
            return try files.reading { try $0.write(bytes, to: target) }
        }
        guard recursively else { throw CommandFailure("\(source): a directory; copy it with -r") }
        guard !(files.absolute(target) + "/").hasPrefix(files.absolute(source) + "/") else {
            throw CommandFailure("\(source): cannot be copied into itself")
        }
        try files.reading { try $0.makeDirectory(target) }
        for (name, _) in try files.reading({ try $0.list(source) }) {
            try copy(source + "/" + name, to: target + "/" + name, in: files, recursively: true, depth: depth + 1)
        }
    }
}
