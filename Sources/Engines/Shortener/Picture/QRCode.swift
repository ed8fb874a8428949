import CQREncode

/// A text as a square of dark and light fields that cameras read (ISO/IEC 18004), by libqrencode.
public struct QRCode: Sendable {
    /// How much of it may be dirty: 7, 15, 25 or 30 percent.
    public enum Correction: String, CaseIterable, Sendable {
        case low = "L"
        case medium = "M"
        case quartile = "Q"
        case high = "H"

        fileprivate var level: QRecLevel {
            switch self {
            case .low: QR_ECLEVEL_L
            case .medium: QR_ECLEVEL_M
            case .quartile: QR_ECLEVEL_Q
            case .high: QR_ECLEVEL_H
            }
        }
    }

    /// Fields on a side.
    public let width: Int
    /// Row by row.
    private let fields: [Bool]

    /// The light fields around it without which a camera does not find it.
    public static let quietFields = 4

    /// Nil for a text that is empty or too long: 2,953 bytes at most, 1,273 with the highest correction.
    public init?(_ text: String, _ correction: Correction = .medium) {
        let bytes = Array(text.utf8)
        guard !bytes.isEmpty, bytes.count <= 2953,
            let code = QRcode_encodeData(Int32(bytes.count), bytes, 0, correction.level)
        else { return nil }
        defer { QRcode_free(code) }
        guard let data = code.pointee.data else { return nil }
        let side = Int(code.pointee.width)
        width = side
        fields = (0..<(side * side)).map { data[$0] & 1 == 1 }
    }

    public subscript(x: Int, y: Int) -> Bool {
        x >= 0 && y >= 0 && x < width && y < width && fields[y * width + x]
    }

    /// As a drawing of any size.
    ///
    /// - Parameter margin: light fields around it.
    public func svg(size: Int, margin: Int = quietFields) -> String {
        let side = width + 2 * margin
        var path = ""
        for y in 0..<width {
            var x = 0
            while x < width {
                let run = (x..<width).prefix { self[$0, y] }.count
                if run > 0 { path += "M\(x + margin) \(y + margin)h\(run)v1h-\(run)z" }
                x += max(1, run)
            }
        }
        return """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(size)" height="\(size)" viewBox="0 0 \(side) \(side)" \
            shape-rendering="crispEdges"><rect width="\(side)" height="\(side)" fill="#fff"/>\
            <path d="\(path)" fill="#000"/></svg>

            """
    }

    /// As a picture in PNG of at most that size: each field has a whole number of points.
    public func png(size: Int, margin: Int = quietFields) -> [UInt8] {
        let side = width + 2 * margin
        let scale = max(1, size / side)
        return PNGPicture.encode(width: side * scale, height: side * scale) { x, y in
            !self[x / scale - margin, y / scale - margin]
        }
    }
}
