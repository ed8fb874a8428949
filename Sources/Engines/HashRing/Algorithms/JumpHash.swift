/// Jump consistent hash: a bucket for a key, from nothing but the number of buckets.
///
/// ## The problem
///
/// A ring needs its points, some kilobytes that everybody must have alike, and its shares are uneven by some per cent.
/// If nodes are simply numbered, and only ever added or removed at the end, neither has to be.
///
/// ## An everyday picture
///
/// Each key walks along the history of the cluster: with one bucket it was in bucket 0. When the second came, it
/// threw a coin and moved there with probability 1/2; when the third came, a die, with 1/3. Its generator is seeded
/// by the key, so everybody who follows the walk sees the same throws. Most throws say "stay", and instead of
/// throwing them all the walk computes at which bucket the next "move" will come, and jumps there.
///
/// ## How
///
/// Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm" (2014): the walk is at bucket b; with r
/// uniform in (0, 1] the next move is to ⌊(b + 1) / r⌋. It ends when that is beyond the last bucket. O(ln n) steps,
/// no memory, shares equal but for chance. The multiplier is that of the paper, so buckets agree with Guava's
/// `consistentHash` and others'.
///
/// ## Where it is wrong
///
/// Buckets have numbers and no names. Only the last one can go; if another fails, somebody must hold its number, or all
/// that come after it move up by one and nearly everything moves. Good for shards of a store that has replicas of its
/// own, and wrong for a cache whose nodes die as they like. No weights.
public enum JumpHash {
    /// The bucket of a key, 0..<`buckets`.
    ///
    /// - Parameters:
    ///   - key: any 64 bits; keys that differ little are spread as well as others.
    ///   - buckets: 1…2³¹.
    @inlinable
    public static func bucket(of key: UInt64, buckets: Int) -> Int {
        precondition(buckets >= 1 && buckets <= 1 << 31, "buckets are 1 to 2147483648, not \(buckets)")
        var state = key
        var bucket: Int64 = -1
        var next: Int64 = 0
        while next < Int64(buckets) {
            bucket = next
            state = state &* 2_862_933_555_777_941_757 &+ 1
            next = Int64(Double(bucket + 1) * (2_147_483_648 / Double(state >> 33 + 1)))
        }
        return Int(bucket)
    }
}
