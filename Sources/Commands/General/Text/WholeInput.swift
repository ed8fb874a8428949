import CommandKit
import KernelStructures
import ShellSession

/// The common part of tools that need all of their input before they can write anything.
final class WholeInput: Program {
    /// Where bytes come from: a file, or what the tool is given, whose name is `-`.
    struct Source {
        let name: String
        let bytes: [UInt8]

        /// Lines without their ends; an end at the very end begins no further one.
        var lines: [ArraySlice<UInt8>] { lines(endingIn: 10) }

        func lines(endingIn end: UInt8) -> [ArraySlice<UInt8>] {
            var lines = bytes.split(separator: end, omittingEmptySubsequences: false)
            if lines.last?.isEmpty ?? false { lines.removeLast() }
            return lines
        }
    }

    let process: Process
    private let files: [String]
    /// Takes all sources that could be read, and returns the status.
    private let body: (WholeInput, [Source]) throws -> Int
    /// What was read of those that are no files, by their names.
    private var inputs: [String: [UInt8]] = [:]
    private(set) var isIncomplete = false

    init(_ process: Process, files: [String], _ body: @escaping (WholeInput, [Source]) throws -> Int) {
        self.process = process
        self.files = files.isEmpty ? ["-"] : files
        self.body = body
    }

    func start() {
        for file in files where inputs[file] == nil {
            guard let stream = process.stream(named: file) else { continue }
            inputs[file] = []
            return process.read(
                stream, onBytes: { [weak self] in self?.take($0, of: file) }, onEnd: { [weak self] in self?.start() })
        }
        finish()
    }

    private func take(_ bytes: [UInt8], of file: String) {
        guard process.isRunning else { return }
        inputs[file, default: []] += bytes
        if inputs[file, default: []].count > LabFiles.readLimit {
            process.fail("more than \(byteCountText(LabFiles.readLimit))")
        }
    }

    private func finish() {
        guard process.isRunning else { return }
        var sources: [Source] = []
        for file in files {
            if let bytes = inputs[file] {
                sources.append(Source(name: file, bytes: bytes))
                continue
            }
            do throws(LabFileError) {
                sources.append(Source(name: file, bytes: try process.session.files.read(file)))
            } catch {
                process.complain(error.description)
                isIncomplete = true
            }
        }
        do {
            let status = try body(self, sources)
            process.exit(isIncomplete && status == 0 ? 1 : status)
        } catch let error as UsageError {
            process.errorOutput.write(error.text + "\n")
            process.exit(2)
        } catch {
            process.fail("\(error)", status: (error as? CommandFailure)?.status ?? 1)
        }
    }

    func write(_ bytes: [UInt8]) { if !bytes.isEmpty { process.output.write(bytes) } }
}
