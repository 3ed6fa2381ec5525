//! What searches find, and do not.

use super::super::chunks::ChunkOwner;
use super::super::chunks::testing::{MODEL, chunk as new_chunk, pointing, run};
use super::*;
use std::collections::HashSet;

use crate::base::random::{Random, SeededRandom};
use crate::model::ids::RunId;
use crate::store::chunks::NewChunk;
use crate::store::documents::testing::new_document;
use crate::store::testing::{store, user_and_company};

fn query(company: &CompanyId, viewer: &UserId, axis: usize, words: &[&str]) -> ChunkQuery {
    ChunkQuery {
        company: company.clone(),
        viewer: viewer.clone(),
        vector: pointing(axis, 0.0),
        words: words.iter().map(|&word| word.to_owned()).collect(),
        limit: 3,
        automations: true,
        widgets: None,
        collected_from: None,
    }
}

#[tokio::test]
async fn both_searches_stay_within_the_company() {
    let (store, _folder) = store();
    let (user, company) = user_and_company(&store).await;
    let (stranger, foreign) = user_and_company(&store).await;
    let near = |text: &str, axis, rest| new_chunk(None, 0, text, pointing(axis, rest));
    let texts = [near("Salmon return.", 1, 0.5), near("The Rhine floods.", 1, 0.1), near("Rhine barges.", 2, 0.0), near("Wind.", 3, 0.0)];
    let own = store.insert_chunks(company.clone(), MODEL, texts.to_vec()).await.unwrap();
    let theirs = store.insert_chunks(foreign.clone(), MODEL, vec![near("The Rhine floods.", 1, 0.0)]).await.unwrap();
    let found = store.search_chunks(query(&company, &user, 1, &["rhine", "flood"])).await.unwrap();
    assert_eq!(found.by_vector[..2], [own[1], own[0]]);
    assert_eq!(found.by_words, [own[1], own[2]]);
    assert!((found.chunks[&own[1]].1 - 0.995).abs() < 1e-3, "{}", found.chunks[&own[1]].1);
    assert!(found.chunks[&own[2]].1.abs() < 1e-6, "the cosine of what only the words found is computed too");
    let found = store.search_chunks(query(&foreign, &stranger, 1, &["rhine"])).await.unwrap();
    assert_eq!((found.by_vector, found.by_words), (theirs.clone(), theirs));
}

#[tokio::test]
async fn restrictions_choose_before_the_nearest_are_taken() {
    let (store, _folder) = store();
    let (user, company) = user_and_company(&store).await;
    let (other, _) = user_and_company(&store).await;
    let (secret, secret_run, _) = run(&store, &company, &user, None, 0).await;
    let (open, open_run, _) = run(&store, &company, &user, None, 0).await;
    let hidden: Vec<_> = (0..8).map(|i| new_chunk(Some((&secret, &secret_run)), i, "Rhine level.", pointing(0, 0.0))).collect();
    let hidden = store.insert_chunks(company.clone(), MODEL, hidden).await.unwrap();
    let mut recent = new_chunk(Some((&open, &open_run)), 0, "Rhine level today.", pointing(0, 0.3));
    recent.body.collected_at = Timestamp::from_millis(5_000);
    let seen = store.insert_chunks(company.clone(), MODEL, vec![recent, new_chunk(None, 0, "Rhine atlas.", pointing(0, 0.6))]).await.unwrap();
    let id = secret.clone();
    store.write("hide", move |tx| Ok(tx.execute("UPDATE widgets SET visibility = 'private' WHERE id = ?1", [id])?)).await.unwrap();
    let search = |query: ChunkQuery| async { store.search_chunks(query).await.unwrap() };

    let base = query(&company, &other, 0, &["rhine"]);
    let found = search(base.clone()).await;
    assert_eq!(found.by_vector, seen, "eight nearer ones are hidden and take no place");
    assert_eq!(found.by_words.len(), 2);
    let found = search(query(&company, &user, 0, &["rhine"])).await;
    assert!(found.by_vector.iter().all(|id| hidden.contains(id)), "their creator finds them");
    let found = search(ChunkQuery { automations: false, ..base.clone() }).await;
    assert_eq!((found.by_vector, found.by_words), (vec![seen[1]], vec![seen[1]]));
    let found = search(ChunkQuery { widgets: Some(vec![open.clone(), secret.clone()]), ..base.clone() }).await;
    assert_eq!((found.by_vector, found.by_words), (vec![seen[0]], vec![seen[0]]));
    let found = search(ChunkQuery { collected_from: Some(Timestamp::from_millis(5_000)), ..base }).await;
    assert_eq!((found.by_vector, found.by_words), (vec![seen[0]], vec![seen[0]]));
}

/// A unit vector near one of eight others, so that many cosines are nearly the same.
fn crowded(random: &SeededRandom) -> Vec<f32> {
    let mut bytes = [0u8; 385];
    random.fill(&mut bytes);
    let topic = usize::from(bytes[384] % 8);
    let vector: Vec<f32> = (0..384).map(|at| f32::from(bytes[at]) / 2_550.0 + f32::from(u8::from(at % 8 == topic))).collect();
    let length = cosine(&vector, &vector).sqrt();
    vector.iter().map(|x| x / length).collect()
}

/// What the search must find: every vector of the company that the query may look at, compared.
async fn compared(store: &Store, query: &ChunkQuery) -> Vec<ChunkId> {
    let query = query.clone();
    let comparison = move |conn: &Connection| {
        let mut near = Vec::new();
        for id in all_standing(conn, &query)?.into_iter().map(ChunkId::from_number) {
            let origin = chunk(conn, id)?.unwrap().body.origin;
            near.extend(vector(conn, id)?.map(|vector| (id, cosine(&vector, &query.vector), origin)));
        }
        best_first(&mut near);
        Ok(near.into_iter().take(usize::from(query.limit)).map(|(id, ..)| id).collect())
    };
    store.read("compare", comparison).await.unwrap()
}

#[tokio::test]
async fn the_search_is_exact_whatever_comes_goes_and_is_hidden() {
    let (store, _folder) = store();
    let (user, company) = user_and_company(&store).await;
    let (other, _) = user_and_company(&store).await;
    let random = SeededRandom::new(11);
    let (open, open_run, _) = run(&store, &company, &user, None, 0).await;
    let (secret, secret_run, _) = run(&store, &company, &user, None, 0).await;
    let id = secret.clone();
    store.write("hide", move |tx| Ok(tx.execute("UPDATE widgets SET visibility = 'private' WHERE id = ?1", [id])?)).await.unwrap();
    let put = |of: Option<(WidgetId, RunId)>, count: u32| {
        let chunks: Vec<_> = (0..count).map(|i| new_chunk(of.as_ref().map(|(widget, run)| (widget, run)), i, "Rhine.", crowded(&random))).collect();
        store.insert_chunks(company.clone(), MODEL, chunks)
    };
    let check = async || {
        for _ in 0..4 {
            let vector = crowded(&random);
            for (viewer, automations, widgets) in
                [(&user, true, None), (&other, true, None), (&user, false, None), (&user, true, Some(vec![open.clone()]))]
            {
                let query = ChunkQuery { vector: vector.clone(), limit: 10, automations, widgets, ..query(&company, viewer, 0, &[]) };
                assert_eq!(store.search_chunks(query.clone()).await.unwrap().by_vector, compared(&store, &query).await);
            }
        }
    };
    let vectors = || store.inner.vectors.company(1).read().len();
    check().await;
    store.inner.vectors.company(1).write().give_up();
    check().await;
    store.release_idle_memory().await;
    store.release_idle_memory().await;
    put(Some((open.clone(), open_run.clone())), 90).await.unwrap();
    put(Some((secret, secret_run)), 60).await.unwrap();
    check().await;
    assert_eq!(vectors(), 150);
    put(None, 80).await.unwrap();
    check().await;
    store.delete_chunks(ChunkOwner::Run(open_run)).await.unwrap();
    check().await;
    assert_eq!(vectors(), 140, "what is gone is let go when it is met");
    put(None, 10).await.unwrap();
    store.release_idle_memory().await;
    store.release_idle_memory().await;
    assert_eq!(vectors(), 0);
    check().await;
    assert_eq!(vectors(), 150);
    store.inner.vectors.company(1).write().give_up();
    check().await;
    assert_eq!(vectors(), 0, "a company too large for memory is searched in the database");
}

#[tokio::test]
async fn the_boost_of_an_origin_counts_before_the_best_are_taken() {
    let (store, _folder) = store();
    let (user, company) = user_and_company(&store).await;
    let (widget, of, _) = run(&store, &company, &user, None, 0).await;
    // Cosines of about .98 against .94 and .91: with its boost a document comes before only where it is less than .05 further off.
    let level = |place: u8| new_chunk(Some((&widget, &of)), place.into(), "Rhine level.", pointing(0, 0.199 + f32::from(place) / 1_000.0));
    let collected = (0..8).map(level).collect();
    let collected = store.insert_chunks(company.clone(), MODEL, collected).await.unwrap();
    let uploaded = [0.341, 0.415].map(|rest| new_chunk(None, 0, "Rhine atlas.", pointing(0, rest))).to_vec();
    let uploaded = store.insert_chunks(company.clone(), MODEL, uploaded).await.unwrap();
    for in_memory in [true, false] {
        if !in_memory {
            store.inner.vectors.company(1).write().give_up();
        }
        let found = store.search_chunks(query(&company, &user, 0, &[])).await.unwrap();
        assert_eq!(found.by_vector, [uploaded[0], collected[0], collected[1]], "in memory: {in_memory}");
        let only = ChunkQuery { widgets: Some(vec![widget.clone()]), ..query(&company, &user, 0, &[]) };
        assert_eq!(store.search_chunks(only).await.unwrap().by_vector, collected[..3]);
        let only = ChunkQuery { automations: false, ..query(&company, &user, 0, &[]) };
        assert_eq!(store.search_chunks(only).await.unwrap().by_vector, uploaded);
    }
}

#[tokio::test]
async fn whatever_is_typed_is_text() {
    let (store, _folder) = store();
    let (user, company) = user_and_company(&store).await;
    store.insert_chunks(company.clone(), MODEL, vec![new_chunk(None, 0, "He said \"near\".", pointing(0, 0.0))]).await.unwrap();
    for words in [&["\"near\" OR"][..], &["NEAR("], &["title:x*"], &["-"], &["'; DROP"], &["^a", "AND"], &["\0"]] {
        assert!(store.search_chunks(query(&company, &user, 0, words)).await.is_ok(), "{words:?}");
    }
    let nobody = CompanyId::new(&crate::base::seams::Seams::system());
    assert!(store.search_chunks(query(&nobody, &user, 0, &["near"])).await.unwrap().chunks.is_empty());
}

#[tokio::test]
async fn what_is_outdated_takes_no_place_of_what_is_so() {
    let (store, _folder) = store();
    let (user, company) = user_and_company(&store).await;
    let (widget, old, _) = run(&store, &company, &user, None, 1).await;
    let (_, new, _) = run(&store, &company, &user, Some(&widget), 2).await;
    let text = |of: &RunId, place: u32, hash: &str, rest: f32| {
        let mut chunk = new_chunk(Some((&widget, of)), place, "Rhine level.", pointing(0, rest));
        chunk.body.content_hash = hash.into();
        chunk
    };
    let outdated = (0..8).map(|place| text(&old, place, "before", 0.0)).collect();
    let outdated = store.insert_chunks(company.clone(), MODEL, outdated).await.unwrap();
    let current = (0..4).map(|place| text(&new, place, "now", 0.4)).collect();
    let current = store.insert_chunks(company.clone(), MODEL, current).await.unwrap();
    let search = || async { store.search_chunks(query(&company, &user, 0, &["rhine"])).await.unwrap() };
    assert!(search().await.by_vector.iter().all(|id| outdated.contains(id)), "the later run cannot be recalled yet");

    let of = company.clone();
    store
        .write("later visit", move |tx| {
            tx.execute("UPDATE widget_runs SET ingest = 'done' WHERE id = ?1", [&new])?;
            let page = "INSERT INTO run_pages (run_id, position, company_id, widget_id, url, fate, content_hash, fetched_at)
                        VALUES (?1, 0, ?2, ?3, 'http://a.example/', 'changed', 'now', 0)";
            Ok(tx.execute(page, (&new, &of, &widget))?)
        })
        .await
        .unwrap();
    let found = search().await;
    assert_eq!(found.by_vector, current[..3], "all three places, although eight nearer ones are outdated");
    assert_eq!((found.by_words.len(), found.chunks.len()), (3, 3));
    assert!(found.by_words.iter().all(|id| current.contains(id)));
}

#[tokio::test]
async fn what_was_found_in_an_earlier_version_of_a_document_is_left_out() {
    let (store, _folder) = store();
    let (user, company) = user_and_company(&store).await;
    let (widget, of, _) = run(&store, &company, &user, None, 1).await;
    let seams = crate::base::seams::Seams::system();
    let upload = async |text: &str| store.insert_document(new_document(&seams, &company, &user, "leave.txt", text)).await.unwrap();
    let first = upload("Leave is 20 days.").await;
    let (id, hash) = (first.id.clone(), first.text_hash.unwrap());
    let in_document = |mut chunk: NewChunk| {
        (chunk.body.document_id, chunk.body.content_hash, chunk.body.source_urls) = (Some(id.clone()), hash.clone(), Vec::new());
        chunk
    };
    let finding = in_document(new_chunk(Some((&widget, &of)), 0, "Leave is 20 days.", pointing(0, 0.1)));
    let passage = in_document(new_chunk(None, 0, "Leave is 20 days.", pointing(0, 0.2)));
    let [finding, passage] = store.insert_chunks(company.clone(), MODEL, vec![finding, passage]).await.unwrap()[..] else { panic!() };
    let search = async || store.search_chunks(query(&company, &user, 0, &["leave"])).await.unwrap();
    let found = search().await;
    assert_eq!(HashSet::from_iter(found.by_words.iter().chain(&found.by_vector).copied()), HashSet::from([finding, passage]));
    assert!(!found.chunks[&passage].0.outdated);

    let second = upload("Leave is 30 days.").await;
    let found = search().await;
    assert_eq!((found.by_vector, found.by_words), (vec![passage], vec![passage]), "while the later version waits");
    assert!(found.chunks[&passage].0.outdated);
    assert!(store.chunk(company.clone(), user.clone(), finding).await.unwrap().unwrap().outdated, "a citation still opens");
    assert!(store.finish_document(&second, 1, Timestamp::from_millis(2)).await.unwrap());
    assert!(search().await.chunks.is_empty(), "once it can be recalled");

    let third = upload("Leave is 20 days.").await;
    assert_eq!(search().await.by_vector, [finding], "the first text again: what was found in it is so again");
    store.delete_document(company.clone(), third.id, Timestamp::from_millis(3)).await.unwrap();
    assert!(search().await.chunks.is_empty());
}

#[tokio::test]
async fn however_many_are_hidden_the_rest_is_found() {
    let (store, _folder) = store();
    let (user, company) = user_and_company(&store).await;
    let (other, _) = user_and_company(&store).await;
    let (secret, secret_run, _) = run(&store, &company, &user, None, 0).await;
    let hidden = (0..90).map(|place| new_chunk(Some((&secret, &secret_run)), place, "Rhine level.", pointing(0, 0.0))).collect();
    store.insert_chunks(company.clone(), MODEL, hidden).await.unwrap();
    let open = [0.5, 0.52, 0.54, 0.56].map(|rest| new_chunk(None, 0, "Rhine atlas.", pointing(0, rest))).to_vec();
    let open = store.insert_chunks(company.clone(), MODEL, open).await.unwrap();
    store.write("hide", move |tx| Ok(tx.execute("UPDATE widgets SET visibility = 'private'", [])?)).await.unwrap();
    for in_memory in [true, false] {
        if !in_memory {
            store.inner.vectors.company(1).write().give_up();
        }
        let found = store.search_chunks(query(&company, &other, 0, &["rhine"])).await.unwrap();
        assert_eq!(found.by_vector, open[..3], "in memory: {in_memory}");
        assert_eq!(found.by_words.len(), 3);
        assert!(found.by_words.iter().all(|id| open.contains(id)));
    }
}
