import KernelLoopback

/// The text of scripts and transcripts, as it lies in the host's files.
public enum ScriptText {
    public struct Failure: Error, CustomStringConvertible, Sendable {
        public let description: String
    }

    /// Reads a file, or standard input for `-`. A byte order mark, which some editors write, is no part of the text.
    ///
    /// - Throws: `Failure` with the path and the reason.
    public static func read(_ path: String) throws(Failure) -> String {
        let bytes: [UInt8]
        do { bytes = try HostFile.read(path) } catch { throw Failure(description: "\(error)") }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Failure(description: "\(path): not text (UTF-8)")
        }
        return text.unicodeScalars.first == "\u{FEFF}" ? String(text.unicodeScalars.dropFirst()) : text
    }
}
