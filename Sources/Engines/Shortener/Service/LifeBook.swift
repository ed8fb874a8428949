import KernelStructures

/// What the database keeps of a shortener's lives: when each began, when its file was last synced, how it ended. The
/// audit reads it.
struct LifeBook {
    let node: String
    /// The number of this life: that of its first segment of clicks.
    let life: Int

    /// How a life has ended.
    enum Ending: String {
        /// Everything was synced and counted.
        case stopped
        /// By a kill, or by the power.
        case unannounced
    }

    /// Closes the books of lives that have ended without a word, and opens this one's.
    ///
    /// - Parameters:
    ///   - number: of this life's book; no other life of any node has it.
    ///   - recovered: clicks that they had left in the file, and are counted now.
    ///   - tornBytes: what at the file's end was no whole click.
    ///   - lost: clicks that the disk has refused in the last of them, as far as that is known.
    /// - Returns: the last statement asks for the number that the book has got.
    func begin(at now: LabTime, number: UInt64, recovered: Int, tornBytes: Int, lost: Int) -> [LinkStatement] {
        [
            LinkStatement(
                "UPDATE url_lives SET ended_at = $2, ending = $3, recovered = $4, torn_bytes = $5, "
                    + "lost = CASE WHEN lost < $7 THEN $7 ELSE lost END "
                    + "WHERE node = $1 AND ended_at IS NULL AND life <> $6",
                [
                    .text(node), ColumnValue(now), .text(Ending.unannounced.rawValue), .integer(Int64(recovered)),
                    .integer(Int64(tornBytes)), .integer(Int64(life)), .integer(Int64(lost)),
                ]),
            LinkStatement(
                "INSERT INTO url_lives (node, life, began_at, synced_at, clicks, recovered, torn_bytes, lost, book) "
                    + "VALUES ($1, $2, $3, $3, 0, 0, 0, 0, $4) ON CONFLICT (node, life) DO NOTHING",
                [.text(node), .integer(Int64(life)), ColumnValue(now), .integer(Int64(number))]),
            LinkStatement(
                "SELECT book FROM url_lives WHERE node = $1 AND life = $2", [.text(node), .integer(Int64(life))]),
        ]
    }

    /// - Parameter lost: clicks that the disk has refused in this life; nil for what was said before.
    func counted(_ count: Int, syncedAt: LabTime, lost: Int?) -> LinkStatement {
        LinkStatement(
            "UPDATE url_lives SET synced_at = $3, clicks = clicks + $4, lost = coalesce($5, lost) "
                + "WHERE node = $1 AND life = $2",
            [
                .text(node), .integer(Int64(life)), ColumnValue(syncedAt), .integer(Int64(count)), ColumnValue(lost),
            ])
    }

    func end(at now: LabTime, lost: Int) -> LinkStatement {
        LinkStatement(
            "UPDATE url_lives SET ended_at = $3, synced_at = $3, ending = $4, lost = $5 WHERE node = $1 AND life = $2",
            [
                .text(node), .integer(Int64(life)), ColumnValue(now), .text(Ending.stopped.rawValue),
                .integer(Int64(lost)),
            ])
    }
}
