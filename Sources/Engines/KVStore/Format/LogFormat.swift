/// The format of logs and manifests.
///
/// ## The problem
///
/// A log is read after an accident. Whoever reads it must be able to tell where the sound part ends, even when the
/// last write reached the disk only in part, and must find the next record after a damaged one.
///
/// ## How
///
/// The file is a row of blocks of 32 KiB. A record that fits into the rest of a block is one fragment; a longer one is
/// cut at the ends of blocks:
///
///     block    := fragment*, zeros (less than 7 bytes: no header fits there)
///     fragment := checksum (4 bytes, masked CRC-32C of type and data), length (2 bytes), type (1 byte), data
///     type     := 1 full | 2 first | 3 middle | 4 last
///
/// However badly a block is damaged, reading can go on at the next: fragments never cross a block's end.
enum LogFormat {
    static let blockByteCount = 32_768
    static let headerByteCount = 7

    enum FragmentType: UInt8 {
        case full = 1
        case first = 2
        case middle = 3
        case last = 4
    }
}
