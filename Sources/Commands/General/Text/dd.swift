import CommandKit
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var dd: Command {
        let description = CommandDescription(
            "dd", "copies bytes, in blocks",
            usage: "[if=FILE] [of=FILE] [bs=N] [count=N] [skip=N] [seek=N] [status=none]",
            arguments: .init([.text], 0...100),
            examples: ["dd if=/dev/zero of=f bs=1k count=10", "dd bs=1 skip=2 count=3 status=none < f"], group: .files,
            details: """
                count and skip are blocks of what is read, seek blocks of what is written;
                blocks are filled, however the bytes come (as with iflag=fullblock).
                conv=notrunc keeps what stands behind; conv=ucase and conv=lcase change letters.
                """)
        return Command(description) { invocation in
            .running(try BlockCopy(invocation.process, try BlockCopyOptions(invocation.arguments.arguments)))
        }
    }

    private struct BlockCopyOptions {
        var input = "-"
        var output: String?
        var block = 512
        var count = Int.max
        var skip = 0
        var seek = 0
        var saysNothing = false
        var conversions: Set<Substring> = []

        init(_ words: [String]) throws {
            for word in words {
                let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                guard parts.count == 2 else { throw UsageError("dd: unrecognized operand '\(word)'") }
                let value = parts[1]
                switch parts[0] {
                case "if": input = value
                case "of": output = value
                case "bs", "ibs", "obs":
                    block = try byteAmount(value, "dd: \(parts[0])")
                    guard (1...LabFiles.readLimit).contains(block) else {
                        throw UsageError("dd: bs=\(value): not a block")
                    }
                case "count": count = try byteAmount(value, "dd: count")
                case "skip", "iseek": skip = try byteAmount(value, "dd: skip")
                case "seek", "oseek": seek = try byteAmount(value, "dd: seek")
                case "status": saysNothing = value == "none"
                case "iflag" where value == "fullblock": break
                case "conv":
                    conversions = Set(value.split(separator: ","))
                    let known: Set<Substring> = ["notrunc", "ucase", "lcase", "fsync", "fdatasync"]
                    if let other = conversions.first(where: { !known.contains($0) }) {
                        throw UsageError("dd: conv=\(other) is not known here; there are notrunc, ucase and lcase")
                    }
                default: throw UsageError("dd: \(parts[0])= is not known here; see help dd")
                }
            }
        }
    }

    private final class BlockCopy: LineTool {
        private let options: BlockCopyOptions
        private let toSkip: Int
        private var skipped = 0
        private var left: Int
        private var read = 0
        private var target: LabFile?
        private var place = 0

        init(_ process: Process, _ options: BlockCopyOptions) throws {
            self.options = options
            let (skip, skipOverflow) = options.skip.multipliedReportingOverflow(by: options.block)
            let (seek, seekOverflow) = options.seek.multipliedReportingOverflow(by: options.block)
            guard !skipOverflow, !seekOverflow, seek <= LabFiles.readLimit else {
                throw UsageError("dd: skip or seek is too large")
            }
            toSkip = skip
            place = seek
            let (total, isEndless) = options.count.multipliedReportingOverflow(by: options.block)
            left = isEndless ? .max : total
            super.init(process, files: [options.input])
        }

        override var cutsLines: Bool { false }

        override func start() {
            if let output = options.output, process.sink(named: output) == nil {
                let keeps = options.conversions.contains("notrunc") || place > 0
                do throws(LabFileError) {
                    target = try process.session.files.openForWriting(output, keepsBytes: keeps)
                } catch { return process.fail("failed to open \(error)") }
            }
            if left == 0 {
                end()
                return process.exit(0)
            }
            super.start()
        }

        override func take(_ piece: ArraySlice<UInt8>, isWhole: Bool) {
            let passed = min(toSkip - skipped, piece.count)
            skipped += passed
            var bytes = Array(piece.dropFirst(passed).prefix(left))
            left -= bytes.count
            read += bytes.count
            if options.conversions.contains("ucase") { bytes = bytes.map { (97...122).contains($0) ? $0 - 32 : $0 } }
            if options.conversions.contains("lcase") { bytes = bytes.map { (65...90).contains($0) ? $0 + 32 : $0 } }
            put(bytes)
            if left == 0 { stop() }
        }

        private func put(_ bytes: [UInt8]) {
            if let output = options.output, let sink = process.sink(named: output) { return sink.write(bytes) }
            guard let target else { return writeBytes(bytes) }
            guard place + bytes.count <= LabFiles.readLimit else {
                complain("more than \(byteCountText(LabFiles.readLimit)) for one file")
                return stop()
            }
            do throws(LabFileError) { try target.write(bytes, at: place) } catch {
                complain(error.description)
                return stop()
            }
            place += bytes.count
        }

        override func end() {
            target?.close()
            target = nil
            if options.saysNothing { return }
            let (blocks, rest) = read.quotientAndRemainder(dividingBy: options.block)
            let records = "\(blocks)+\(rest > 0 ? 1 : 0) records"
            process.errorOutput.write("\(records) in\n\(records) out\n\(read) byte\(read == 1 ? "" : "s") copied\n")
        }
    }
}
