/// Whose version the database says it has, because clients decide by it what they may send.
public enum DatabaseVersion {
    public static let text = "15.18"
    public static let number = 150_018
}
