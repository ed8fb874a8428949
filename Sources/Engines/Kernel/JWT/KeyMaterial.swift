import COpenSSL
import KernelCryptography

/// OpenSSL's key. It never changes, so any thread may use it.
final class KeyPointer: @unchecked Sendable {
    let pointer: OpaquePointer

    init(owning pointer: OpaquePointer) { self.pointer = pointer }
    deinit { EVP_PKEY_free(pointer) }
}

/// What a key consists of, as OpenSSL takes it: numbers and texts under names. Its memory lasts as long as it does.
struct KeyParameters: ~Copyable {
    private var list: [OSSL_PARAM] = []
    private var memory: [UnsafeMutableRawBufferPointer] = []

    /// `EVP_PKEY_PUBLIC_KEY` and `EVP_PKEY_KEYPAIR`, whose macros Swift does not import.
    private static let publicSelection: Int32 = 0x86
    private static let pairSelection: Int32 = 0x87

    init() {}

    deinit { for buffer in memory { buffer.deallocate() } }

    /// A number without a sign, the most significant byte first.
    mutating func add(number bytes: [UInt8], _ name: StaticString) {
        // OpenSSL wants the machine's order here.
        #if _endian(little)
            let buffer = keep(Array(bytes.reversed()))
        #else
            let buffer = keep(bytes)
        #endif
        list.append(
            OSSL_PARAM_construct_BN(
                Self.text(name), buffer.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count))
    }

    mutating func add(bytes: [UInt8], _ name: StaticString) {
        let buffer = keep(bytes)
        list.append(OSSL_PARAM_construct_octet_string(Self.text(name), buffer.baseAddress, bytes.count))
    }

    mutating func add(text: String, _ name: StaticString) {
        let buffer = keep(Array(text.utf8) + [0])
        list.append(
            OSSL_PARAM_construct_utf8_string(
                Self.text(name), buffer.baseAddress?.assumingMemoryBound(to: CChar.self), 0))
    }

    /// The key; nil if OpenSSL takes these for none.
    func makeKey(type: String, isPrivate: Bool) -> KeyPointer? {
        guard let context = EVP_PKEY_CTX_new_from_name(nil, type, nil) else { return nil }
        defer {
            EVP_PKEY_CTX_free(context)
            ERR_clear_error()
        }
        var key: OpaquePointer?
        var all = list + [OSSL_PARAM_construct_end()]
        guard EVP_PKEY_fromdata_init(context) == 1,
            EVP_PKEY_fromdata(context, &key, isPrivate ? Self.pairSelection : Self.publicSelection, &all) == 1, let key
        else { return nil }
        return KeyPointer(owning: key)
    }

    private mutating func keep(_ bytes: [UInt8]) -> UnsafeMutableRawBufferPointer {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, bytes.count), alignment: 16)
        buffer.copyBytes(from: bytes)
        memory.append(buffer)
        return buffer
    }

    private static func text(_ name: StaticString) -> UnsafePointer<CChar> {
        UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
    }
}

extension KeyPointer {
    /// A key of Edwards's curves from its bytes.
    static func edwards(_ curve: JWKCurve, publicKey: [UInt8], privateKey: [UInt8]?) -> KeyPointer? {
        defer { ERR_clear_error() }
        let type = curve == .ed448 ? EVP_PKEY_ED448 : EVP_PKEY_ED25519
        let key =
            privateKey.map { EVP_PKEY_new_raw_private_key(type, nil, $0, $0.count) }
            ?? EVP_PKEY_new_raw_public_key(type, nil, publicKey, publicKey.count)
        return key.map { KeyPointer(owning: $0) }
    }

    /// Whether the point is on its curve and of the right order.
    var isPublicHalfSound: Bool {
        guard let context = EVP_PKEY_CTX_new(pointer, nil) else { return false }
        defer {
            EVP_PKEY_CTX_free(context)
            ERR_clear_error()
        }
        return EVP_PKEY_public_check(context) == 1
    }

    /// A number of the key, in so many bytes, or as many as it needs. Nil if the key has none of that name.
    func number(_ name: String, byteCount: Int? = nil) -> [UInt8]? {
        var number: OpaquePointer?
        defer {
            BN_clear_free(number)
            ERR_clear_error()
        }
        guard EVP_PKEY_get_bn_param(pointer, name, &number) == 1, let number else { return nil }
        let count = byteCount ?? (Int(BN_num_bits(number)) + 7) / 8
        var bytes = [UInt8](repeating: 0, count: count)
        return BN_bn2binpad(number, &bytes, Int32(clamping: count)) == Int32(clamping: count) ? bytes : nil
    }

    func isA(_ type: String) -> Bool { EVP_PKEY_is_a(pointer, type) == 1 }

    /// `prime256v1`; empty where the key has no curve.
    var groupName: String {
        var name = [CChar](repeating: 0, count: 64)
        var length = 0
        defer { ERR_clear_error() }
        guard EVP_PKEY_get_group_name(pointer, &name, name.count, &length) == 1 else { return "" }
        return String(decoding: name[..<min(length, name.count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The bytes of a key of Edwards's curves.
    func raw(isPrivate: Bool) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 64)
        var length = bytes.count
        defer { ERR_clear_error() }
        let isDone =
            isPrivate
            ? EVP_PKEY_get_raw_private_key(pointer, &bytes, &length)
            : EVP_PKEY_get_raw_public_key(pointer, &bytes, &length)
        return isDone == 1 && length <= bytes.count ? Array(bytes[..<length]) : nil
    }
}

/// The point of a curve that belongs to a private number.
enum CurvePoint {
    /// The coordinates, each as long as the curve has it; nil for a number that is none of a key.
    static func coordinates(_ curve: JWKCurve, privateNumber: [UInt8]) -> (x: [UInt8], y: [UInt8])? {
        defer { ERR_clear_error() }
        guard let nid = nid(curve), let group = EC_GROUP_new_by_curve_name(nid) else { return nil }
        defer { EC_GROUP_free(group) }
        guard let number = BN_bin2bn(privateNumber, Int32(clamping: privateNumber.count), nil) else { return nil }
        defer { BN_clear_free(number) }
        guard BN_is_zero(number) == 0, BN_cmp(number, EC_GROUP_get0_order(group)) < 0,
            let point = EC_POINT_new(group)
        else { return nil }
        defer { EC_POINT_free(point) }
        guard EC_POINT_mul(group, point, number, nil, nil, nil) == 1 else { return nil }
        var bytes = [UInt8](repeating: 0, count: 1 + 2 * curve.byteCount)
        let length = EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, &bytes, bytes.count, nil)
        guard length == bytes.count else { return nil }
        return (Array(bytes[1...curve.byteCount]), Array(bytes[(1 + curve.byteCount)...]))
    }

    private static func nid(_ curve: JWKCurve) -> Int32? {
        switch curve {
        case .p256: NID_X9_62_prime256v1
        case .p384: NID_secp384r1
        case .p521: NID_secp521r1
        case .ed25519, .ed448: nil
        }
    }
}
