import KernelStructures
import ShellSession

/// The common part of `od`, `hexdump` and `xxd`: bytes in rows, as they come.
final class RowDump: LineTool {
    /// How a row looks: its bytes, and the place of the first.
    private let row: (ArraySlice<UInt8>, Int) -> String
    private let width: Int
    private let squeezes: Bool
    /// What stands behind the last row, with the place where all ends; nil where there was nothing to read.
    private let ending: (Int) -> String
    private var toSkip: Int
    private var left: Int
    private var place: Int
    private var hasRead = false
    private var current: [UInt8] = []
    private var before: [UInt8] = []
    private var isStarred = false
    /// What is said where there is less than what is to be passed over; nil: that is no failure.
    var shortComplaint: String?
    /// The status where a file could not be read.
    var missStatus = 1

    /// - Parameters:
    ///   - width: bytes of a row.
    ///   - skipped: bytes that are passed over first.
    ///   - limit: bytes that are shown at most.
    ///   - squeezes: of rows that are the same one is shown, and a star.
    init(
        _ process: Process, files: [String], width: Int, skipped: Int, limit: Int, squeezes: Bool,
        row: @escaping (ArraySlice<UInt8>, Int) -> String, ending: @escaping (Int) -> String = { _ in "" }
    ) {
        self.row = row
        self.width = width
        self.squeezes = squeezes
        self.ending = ending
        toSkip = skipped
        left = limit
        place = skipped
        super.init(process, files: files)
    }

    override var cutsLines: Bool { false }
    override var complaintStatus: Int { missStatus }
    override func beginFile() { hasRead = true }

    override func take(_ piece: ArraySlice<UInt8>, isWhole: Bool) {
        var bytes = piece
        let passed = min(toSkip, bytes.count)
        toSkip -= passed
        bytes = bytes.dropFirst(passed).prefix(left)
        left -= bytes.count
        current += bytes
        var text = ""
        var start = 0
        while current.count - start >= width {
            text += shown(current[start..<(start + width)])
            start += width
        }
        current.removeFirst(start)
        if !text.isEmpty { writeBytes(Array(text.utf8)) }
        if left == 0 { stop() }
    }

    private func shown(_ bytes: ArraySlice<UInt8>) -> String {
        defer { place += bytes.count }
        if squeezes, bytes.count == width, before.elementsEqual(bytes) {
            defer { isStarred = true }
            return isStarred ? "" : "*\n"
        }
        (before, isStarred) = (Array(bytes), false)
        return row(bytes, place)
    }

    override func end() {
        guard hasRead else { return }
        if toSkip > 0, let shortComplaint { return complain(shortComplaint) }
        let text = (current.isEmpty ? "" : shown(current[...])) + ending(toSkip > 0 ? place - toSkip : place)
        if !text.isEmpty { writeBytes(Array(text.utf8)) }
    }
}
