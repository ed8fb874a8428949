import KernelLoopback

/// The text of scripts and transcripts, as it lies in the host's files.
public enum ScriptText {
    public struct Failure: Error, CustomStringConvertible, Sendable {
        public let description: String
    }

    /// What is larger was meant to be something else, and would only be looked through for long.
    private static let limitBytes = 16 << 20

    /// Reads a file, or standard input for `-`. A byte order mark, which some editors write, is no part of the text.
    ///
    /// - Throws: `Failure` with the path and the reason.
    public static func read(_ path: String) throws(Failure) -> String {
        let bytes: [UInt8]
        do { bytes = try HostFile.read(path, limitBytes: limitBytes) } catch {
            throw Failure(description: "\(error)")
        }
        // Programs and databases have zeros; no editor writes one into a text.
        guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
            throw Failure(description: "\(path == "-" ? "standard input" : path): not text (UTF-8)")
        }
        return text.unicodeScalars.first == "\u{FEFF}" ? String(text.unicodeScalars.dropFirst()) : text
    }
}
