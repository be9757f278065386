//! The book against stores in memory.

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::*;

fn store() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

async fn book(store: &Arc<dyn ObjectStore>) -> Book {
    Book::read(store.clone()).await.unwrap()
}

async fn refusal(book: &Book, token: Option<&str>) -> Option<Refusal> {
    book.check(token).await.err()
}

#[tokio::test]
async fn without_tokens_everybody_is_let_in_until_there_is_one() {
    let store = store();
    let book = book(&store).await;
    let caller = book.check(None).await.unwrap();
    assert!(caller.token.is_none() && caller.ending.borrow().is_none());
    let (token, _) = tokens::create(&store, Role::User, None, "").await.unwrap();
    book.refresh(Instant::now()).await.unwrap();
    assert_eq!(*caller.ending.borrow(), Some(Refusal::Missing));
    assert_eq!(refusal(&book, None).await, Some(Refusal::Missing));
    assert_eq!(refusal(&book, Some(token.reveal())).await, None);
    // Where nobody is asked, the store does not matter.
    assert_eq!(refusal(&Book::open(), None).await, None);
}

/// Not as nobody, who is cut off once the store has been read.
#[tokio::test]
async fn who_comes_with_the_first_token_is_let_in_with_it() {
    let store = store();
    let book = book(&store).await;
    let (token, record) = tokens::create(&store, Role::User, None, "").await.unwrap();
    let caller = book.check(Some(token.reveal())).await.unwrap();
    assert_eq!(caller.token, Some((record.id, Role::User)));
    book.refresh(Instant::now()).await.unwrap();
    assert_eq!(*caller.ending.borrow(), None);
}

#[tokio::test]
async fn a_new_token_is_found_and_a_revoked_one_ends_who_came_with_it() {
    let store = store();
    tokens::create(&store, Role::User, None, "").await.unwrap();
    let book = book(&store).await;
    let (token, record) = tokens::create(&store, Role::Worker, None, "box")
        .await
        .unwrap();
    let caller = book.check(Some(token.reveal())).await.unwrap();
    assert_eq!(caller.token, Some((record.id.clone(), Role::Worker)));
    tokens::revoke(&store, &record.id).await.unwrap();
    tokens::revoke(&store, &record.id).await.unwrap();
    book.refresh(Instant::now()).await.unwrap();
    assert_eq!(*caller.ending.borrow(), Some(Refusal::Revoked));
    let refused = refusal(&book, Some(token.reveal())).await;
    assert_eq!(refused, Some(Refusal::Revoked));
    let listed = tokens::list(&store).await.unwrap();
    let revoked: Vec<_> = listed.iter().filter(|l| l.revoked).collect();
    assert_eq!(revoked.len(), 1);
    assert_eq!(revoked[0].record, record);
    assert!(tokens::revoke(&store, "ffffffff").await.is_err());
}

#[tokio::test]
async fn expired_wrong_and_strange_tokens_are_refused() {
    let store = store();
    let valid = Some(Duration::ZERO);
    let (expired, _) = tokens::create(&store, Role::User, valid, "").await.unwrap();
    let book = book(&store).await;
    assert!(!book.has_valid());
    let refused = refusal(&book, Some(expired.reveal())).await;
    assert_eq!(refused, Some(Refusal::Expired));
    let (good, _) = tokens::create(&store, Role::User, None, "").await.unwrap();
    book.refresh(Instant::now()).await.unwrap();
    assert!(book.has_valid());
    let secret = good.reveal().rsplit_once('_').unwrap().1;
    let wrong = good.reveal().replace(secret, &"0".repeat(secret.len()));
    for strange in ["", "x", "ablate_", wrong.as_str(), "ablate_é_"] {
        let refused = refusal(&book, Some(strange)).await;
        assert_eq!(refused, Some(Refusal::Unknown), "{strange:?}");
    }
}

#[tokio::test]
async fn a_damaged_token_lets_nobody_in_and_harms_no_other() {
    let store = store();
    let (good, _) = tokens::create(&store, Role::User, None, "").await.unwrap();
    for body in ["", "{}", "not json"] {
        let path = Path::from("auth/tokens/00000000.json");
        store.put(&path, body.into()).await.unwrap();
        let book = book(&store).await;
        assert_eq!(refusal(&book, Some(good.reveal())).await, None);
        assert_eq!(refusal(&book, None).await, Some(Refusal::Missing));
    }
    // A deleted one is as good as revoked.
    let book = book(&store).await;
    let path = Path::from(ablate_proto::layout::token(good.id()));
    store.delete(&path).await.unwrap();
    book.refresh(Instant::now()).await.unwrap();
    let refused = refusal(&book, Some(good.reveal())).await;
    assert_eq!(refused, Some(Refusal::Revoked));
}

#[tokio::test]
async fn nothing_in_the_store_is_a_secret() {
    let store = store();
    let (token, record) = tokens::create(&store, Role::Admin, None, "").await.unwrap();
    let path = Path::from(ablate_proto::layout::token(&record.id));
    let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
    let secret = token.reveal().rsplit_once('_').unwrap().1;
    assert!(!String::from_utf8(bytes.to_vec()).unwrap().contains(secret));
}
