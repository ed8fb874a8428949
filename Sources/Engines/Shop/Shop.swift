/// A small shop, and everything that can go wrong between a click and a parcel.
///
/// ## The problem
///
/// Buying something touches several services: one knows what is in stock, one charges cards, one keeps orders, one
/// writes letters. Each has a database of its own, so no transaction holds them together. Whoever charges the card and
/// then dies has taken money for nothing; whoever hands out the last piece twice has sold what is not there; whoever
/// asks again because no answer came may charge twice. And all of these only happen now and then, which is worst.
///
/// ## An everyday picture
///
/// A travel agent who books flight, hotel and car at three companies by telephone, with a notebook. Before each call
/// the agent writes down how that booking can be undone, *then* calls. If the hotel is full, the notebook is read from
/// its last line upwards and everything in it is undone: the car, the flight. If the agent falls ill, a colleague opens
/// the notebook and goes on; at worst a company hears the same wish twice, and since it carries the same booking number
/// it books once. Nothing depends on the agent's memory, and nobody has to hold three telephones at the same time.
///
/// ## How
///
/// ```
///   reserve ──────▶ charge ──────▶ confirm ──────▶ publish        forward (CheckoutSaga)
///      │               │               │
///   release ◀─────── void ◀────────────┘                          backward, the last first, until done
/// ```
///
/// - `CheckoutSaga` is the notebook: a state machine whose every change is saved before anything is asked of anybody.
/// - `Inventory` tells pieces that are `available` from those `reserved` for somebody at the till, and those `sold`.
/// - `PaymentBook` speaks Stripe's language, and knows each idempotency key's first answer.
/// - `ShopLedger` judges: pieces, money and orders must add up, whatever has happened.
///
/// All of them are values; they take `now` and return what is to be stored and done. The services around them are in
/// the room beside.
///
/// ## Where it is wrong
///
/// A saga is atomic in the end, not in between: for a moment the card is charged and the order is not confirmed, and
/// whoever looks then sees that. Undoing is not the same as never having done: a refund stands on the statement. And
/// an undoing that fails for ever has to be parked for a person, which no protocol can do away with.
///
/// Sagas: Garcia-Molina and Salem 1987. Reserve and confirm: Helland, "Life beyond Distributed Transactions", 2007.
public enum Shop {
    /// Lines of one order, and pieces of one line.
    public static let lineLimit = 100
    public static let quantityRange = 1...10_000
    /// Of an identifier that somebody gives: product, card, key.
    public static let identifierLimit = 255
    /// How long stock is held for an order that is at the till.
    public static let holdSeconds = 300
}
