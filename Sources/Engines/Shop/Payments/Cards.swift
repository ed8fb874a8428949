/// The cards of the mock processor: as Stripe's test cards, a card's name decides what its bank says.
public enum CardVerdict: Hashable, Sendable {
    case approved
    /// Stripe's `code`, and its `decline_code` for cards that were declined.
    case declined(code: String, declineCode: String?, text: String)

    /// By Stripe's documentation, "Testing": payment methods, numbers, and the lab's `card_…` names.
    public init(card: String) {
        let name = card.lowercased()
        for (words, code, decline, text) in Self.table where words.contains(where: { name.contains($0) }) {
            self = .declined(code: code, declineCode: decline, text: text)
            return
        }
        self = .approved
    }

    private static let table: [(words: [String], code: String, decline: String?, text: String)] = [
        (["insufficient", "4000000000009995"], "card_declined", "insufficient_funds", "insufficient funds"),
        (["lostcard", "lost_card", "4000000000009987"], "card_declined", "lost_card", "lost card"),
        (["stolencard", "stolen_card", "4000000000009979"], "card_declined", "stolen_card", "stolen card"),
        (["expired", "4000000000000069"], "expired_card", nil, "the card has expired"),
        (["incorrectcvc", "incorrect_cvc", "4000000000000127"], "incorrect_cvc", nil, "incorrect security code"),
        (
            ["processingerror", "processing_error", "4000000000000119"], "processing_error", nil,
            "an error occurred while processing the card"
        ),
        (["declined", "4000000000000002"], "card_declined", "generic_decline", "the card was declined"),
    ]
}
