//! Chunks that are kept, taken over, marked and removed.

use super::testing::{MODEL, chunk, pointing, run};
use super::*;
use crate::store::testing::{store, user_and_company};

#[tokio::test]
async fn a_chunk_is_read_back_as_it_was_put_in() {
    let (store, _folder) = store();
    let (user, company) = user_and_company(&store).await;
    let (widget, run, _) = run(&store, &company, &user, None, 0).await;
    let new = chunk(Some((&widget, &run)), 0, "The Rhine is long.", pointing(0, 0.0));
    let ids = store.insert_chunks(company.clone(), MODEL, vec![new.clone()]).await.unwrap();
    let read = store.chunk(company.clone(), user.clone(), ids[0]).await.unwrap().unwrap();
    assert_eq!((read.body, read.tokens, read.embedding_model.as_str(), read.company_id), (new.body.clone(), 7, MODEL, company.clone()));
    let known = store.known_embeddings(company.clone(), MODEL, vec![new.hash.clone(), "other".into()]).await.unwrap();
    assert_eq!(known, HashMap::from([(new.hash.clone(), KnownEmbedding { vector: new.vector, tokens: 7 })]));
    assert!(store.known_embeddings(company.clone(), "another-model", vec![new.hash.clone()]).await.unwrap().is_empty());
    let (stranger, foreign) = user_and_company(&store).await;
    assert_eq!(store.chunk(foreign.clone(), stranger, ids[0]).await.unwrap(), None);
    assert!(store.known_embeddings(foreign, MODEL, vec![new.hash]).await.unwrap().is_empty());
}

#[tokio::test]
async fn numbers_are_not_given_twice() {
    let (store, _folder) = store();
    let (user, company) = user_and_company(&store).await;
    let (widget, run, _) = run(&store, &company, &user, None, 0).await;
    let chunks = |n: u32| (0..n).map(|i| chunk(Some((&widget, &run)), i, "Text.", pointing(0, 0.0))).collect::<Vec<_>>();
    let before = store.insert_chunks(company.clone(), MODEL, chunks(150)).await.unwrap();
    assert!(before.windows(2).all(|pair| pair[0].number() + 1 == pair[1].number()));
    assert_eq!(store.chunk_hashes(ChunkOwner::Run(run.clone())).await.unwrap().len(), 150);
    assert_eq!(store.delete_chunks(ChunkOwner::Run(run.clone())).await.unwrap(), 150);
    assert!(store.chunk_hashes(ChunkOwner::Run(run.clone())).await.unwrap().is_empty());
    let after = store.insert_chunks(company.clone(), MODEL, chunks(1)).await.unwrap();
    assert!(after[0] > before[149]);
}

#[tokio::test]
async fn the_latest_two_runs_keep_their_chunks() {
    let (store, _folder) = store();
    let (user, company) = user_and_company(&store).await;
    let (widget, first, _) = run(&store, &company, &user, None, 1).await;
    let (_, second, _) = run(&store, &company, &user, Some(&widget), 2).await;
    let (_, third, _) = run(&store, &company, &user, Some(&widget), 3).await;
    let (_, _empty, _) = run(&store, &company, &user, Some(&widget), 4).await;
    for of in [&first, &second, &third] {
        let chunks = vec![chunk(Some((&widget, of)), 0, "Text.", pointing(0, 0.0)); 2];
        store.insert_chunks(company.clone(), MODEL, chunks).await.unwrap();
    }
    assert_eq!(store.retain_chunks_of_latest_runs(widget.clone(), 2).await.unwrap(), 2);
    assert!(store.chunk_hashes(ChunkOwner::Run(first)).await.unwrap().is_empty());
    assert_eq!(store.chunk_hashes(ChunkOwner::Widget(widget.clone())).await.unwrap().len(), 4, "a run without chunks takes no place");
    assert_eq!(store.retain_chunks_of_latest_runs(widget, 2).await.unwrap(), 0);
}

#[tokio::test]
async fn the_private_widgets_chunk_is_its_creators() {
    let (store, _folder) = store();
    let (user, company) = user_and_company(&store).await;
    let (other, _) = user_and_company(&store).await;
    let (widget, run, _) = run(&store, &company, &user, None, 0).await;
    let ids = store.insert_chunks(company.clone(), MODEL, vec![chunk(Some((&widget, &run)), 0, "Text.", pointing(0, 0.0))]).await.unwrap();
    assert!(store.chunk(company.clone(), other.clone(), ids[0]).await.unwrap().is_some());
    store.write("hide", move |tx| Ok(tx.execute("UPDATE widgets SET visibility = 'private'", [])?)).await.unwrap();
    assert!(store.chunk(company.clone(), other, ids[0]).await.unwrap().is_none());
    assert!(store.chunk(company, user, ids[0]).await.unwrap().is_some());
}
