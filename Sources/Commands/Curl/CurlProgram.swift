import CommandKit
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import ShellSession

/// curl at work: one URL after another, each with its redirects and retries. Connections are used again where the host
/// stays the same.
final class CurlProgram: Program {
    let process: Process
    private(set) var options: CurlOptions
    var cookies = CurlCookies()
    private var nextURL = 0
    /// What the present URL stands for, and which of that comes next.
    private var pattern: CurlGlob?
    private var nextOfPattern = 0
    private var current: CurlTransfer?
    private var lastStatus = 0
    private var tries = 0
    /// A connection that the last transfer left open.
    var spare: (connection: HTTPClientConnection, url: HTTPURL)?
    /// TLS for every connection that needs it; made when the first one does.
    private(set) lazy var security = Result { try options.tls.makeClient(process) }
    private let spareWatch = SpareWatch()

    init(_ process: Process, _ options: CurlOptions) {
        self.process = process
        self.options = options
    }

    func start() {
        for file in options.cookieFiles where !file.isEmpty {
            if let bytes = try? process.session.files.read(file) {
                cookies.load(String(decoding: bytes, as: UTF8.self))
            }
        }
        if options.readsInput { readInput() } else { next() }
    }

    /// Bytes of standard input that become a body.
    private static let inputLimitBytes = 256 << 20

    private func readInput() {
        var input: [UInt8] = []
        process.read(
            onBytes: { [self] bytes in
                input += bytes
                guard input.count > Self.inputLimitBytes, process.isRunning else { return }
                report("more than \(byteCountText(Self.inputLimitBytes)) of input for a body: use a file", 27)
                process.exit(27)
            },
            onEnd: { [self] in
                guard process.isRunning else { return }
                options.fillBody(input: input)
                next()
            })
    }

    private func next() {
        guard nextURL < options.urls.count else { return finish() }
        tries = 0
        begin()
    }

    private func begin() {
        let written = options.urls[nextURL]
        do throws(CurlMalformedURL) {
            let pattern: CurlGlob
            if let known = self.pattern {
                pattern = known
            } else if options.expandsURLs {
                pattern = try CurlGlob(written)
            } else {
                pattern = CurlGlob(literal: written)
            }
            self.pattern = pattern
            let (text, values) = pattern.url(nextOfPattern)
            let url = try HTTPURL.ofCurl(text).carrying(options)
            let transfer = CurlTransfer(self, url, text: text, output: try output(for: url, values))
            transfer.report.urlNumber = nextURL
            current = transfer
            transfer.start()
        } catch {
            report(error.text, error.status)
            lastStatus = error.status
            advance()
            // One after the other, and not one within the other: a pattern may stand for many.
            process.node.enqueue { [self] in next() }
        }
    }

    /// Goes on to the next URL that the pattern stands for, or to the next pattern.
    private func advance() {
        nextOfPattern += 1
        if nextOfPattern < pattern?.count ?? 0 { return }
        nextURL += 1
        nextOfPattern = 0
        pattern = nil
    }

    /// Where the body of the present URL goes: the n-th `-o` is for the n-th URL.
    ///
    /// - Parameter values: what the URL's patterns stand for, for `#1` in the name.
    private func output(for url: HTTPURL, _ values: [String]) throws(CurlMalformedURL) -> CurlOutput {
        if nextURL < options.outputs.count {
            let name = options.outputs[nextURL]
            return CurlOutput(process, path: options.expandsURLs ? CurlGlob.name(name, values) : name)
        }
        guard options.remoteName else { return CurlOutput(process, path: nil) }
        let name = url.path.split(separator: "/").last.map(String.init) ?? ""
        guard !name.isEmpty else { throw CurlMalformedURL(text: "Remote file name has no length!", status: 23) }
        return CurlOutput(process, path: name)
    }

    func report(_ text: String, _ status: Int) {
        guard !options.isSilent || options.showsErrors else { return }
        process.errorOutput.write("curl: (\(status)) \(text)\n")
        if status == 60 { process.errorOutput.write(CurlTLSOptions.advice) }
    }

    /// A transfer is over, in one way or another.
    func ended(_ transfer: CurlTransfer, status: Int, error: String?, isTransient: Bool, retryAfter: LabDuration?) {
        transfer.output.close()
        if isTransient, tries < options.retries {
            // What the server asks for goes before what the user does.
            let delay = retryAfter ?? options.retryDelay ?? .seconds(min(600, 1 << min(tries, 10)))
            if !options.isSilent {
                let problem = error == nil ? "HTTP error" : status == 28 ? "timeout" : "connection refused"
                process.errorOutput.write(
                    "Warning: Problem : \(problem). Will retry in \(Int(delay.seconds.rounded(.up))) seconds. \(options.retries - tries) retries left.\n"
                )
            }
            tries += 1
            process.node.after(delay) { [self] in begin() }
            return
        }
        if let error { report(error, status) }
        writeOut(transfer)
        lastStatus = status
        advance()
        // Not from within the transfer's own callback.
        process.node.enqueue { [self] in next() }
    }

    private func writeOut(_ transfer: CurlTransfer) {
        guard let format = options.writeOut else { return }
        let text = CurlWriteOut.render(format, transfer.report)
        if !text.output.isEmpty { process.output.write(text.output) }
        if !text.error.isEmpty { process.errorOutput.write(text.error) }
        for name in text.unknown { process.errorOutput.write("curl: unknown --write-out variable: '\(name)'\n") }
    }

    private func finish() {
        current = nil
        spare?.connection.close()
        spare = nil
        if let jar = options.cookieJar {
            let text = cookies.file(now: process.node.wallClock)
            if jar == "-" {
                process.output.write(text)
            } else {
                try? process.session.files.write(Array(text.utf8), to: jar)
            }
        }
        process.exit(lastStatus)
    }

    // MARK: Connections

    func keep(_ connection: HTTPClientConnection, for url: HTTPURL) {
        spare?.connection.close()
        connection.delegate = spareWatch
        spare = (connection, url)
    }

    func takeSpare(for url: HTTPURL) -> HTTPClientConnection? {
        guard let kept = spare, kept.url.destination == url.destination, kept.url.scheme == url.scheme,
            kept.connection.isReusable
        else { return nil }
        spare = nil
        return kept.connection
    }
}

private final class SpareWatch: HTTPClientDelegate {
    func clientReceivedHead(_ client: HTTPClientConnection) {}
    func client(_ client: HTTPClientConnection, received body: UnsafeRawBufferPointer) {}
    func clientReceivedEnd(_ client: HTTPClientConnection) {}
    func client(_ client: HTTPClientConnection, failed failure: HTTPClientFailure) {}
}

/// Where a body goes: standard output, a file, or nowhere (`/dev/null`).
final class CurlOutput {
    private let process: Process
    let path: String?
    private var file: LabFile?
    private(set) var failure: String?

    init(_ process: Process, path: String?) {
        self.process = process
        self.path = path == "-" ? nil : path
    }

    var isTerminalOutput: Bool { path == nil }

    func write(_ bytes: [UInt8]) {
        guard let path else {
            noteToken(bytes)
            return process.output.write(bytes)
        }
        if path == "/dev/null" || failure != nil { return }
        do throws(LabFileError) {
            if file == nil { file = try process.session.files.openForWriting(path, appends: false) }
            try file?.append(bytes)
        } catch {
            failure = error.description
        }
    }

    /// A token that was shown is what a literal `eyJ...` stands for from now on: people register, and then use it.
    private func noteToken(_ bytes: [UInt8]) {
        guard !process.session.isProcess, bytes.first == UInt8(ascii: "{"), bytes.count <= 16_384 else { return }
        let text = String(decoding: bytes, as: UTF8.self)
        guard let start = text.firstRange(of: "\"eyJ")?.lowerBound else { return }
        let token = text[start...].dropFirst().prefix { $0 != "\"" }
        if token.split(separator: ".", omittingEmptySubsequences: false).count == 3 {
            process.session.lastToken = String(token)
        }
    }

    /// The file exists even if nothing was written to it.
    func touch() { if path != nil { write([]) } }
    var isCongested: Bool { path == nil && process.output.isCongested }
    var isBroken: Bool { path == nil && process.output.isBroken }
    func onDrained(_ action: @escaping () -> Void) { process.output.onDrained = action }
    func close() {
        file?.close()
        file = nil
    }
}
