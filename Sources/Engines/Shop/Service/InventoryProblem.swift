import KernelHosting
import KernelJSON
import KernelStructures
import ShopEngine
import ShopKitService

extension HTTPProblem {
    init(_ refusal: InventoryRefusal) {
        let status =
            switch refusal {
            case .unknownProduct, .notReserved: 404
            case .outOfStock, .differs: 409
            case .expired, .released: 410
            }
        self.init(status, word: refusal.word, refusal.text)
        if case .outOfStock(let id, _, let available) = refusal {
            members += [("product_id", .string(id)), ("available", .integer(available))]
        }
    }
}
