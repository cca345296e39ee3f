//! Accounts and their tokens.

use debrief_domain::{At, Permissions};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Verdict;
use super::error::refused_or_corrupt;
use crate::{Account, AccountId, Enabled, NewAccount, StoreError, TOKENS_MAX, TokenHash};

const COLUMNS: &str = "id, name, client_id, secret_hash, enabled, permissions, networks, comment, \
                       created";

fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    let secret_hash: [u8; 32] = row.get(3)?;
    let permissions: String = row.get(5)?;
    let networks: String = row.get(6)?;
    let damaged = |_| rusqlite::Error::InvalidColumnName("permissions".into());
    Ok(Account {
        id: AccountId(row.get(0)?),
        name: row.get(1)?,
        client_id: row.get(2)?,
        secret_hash,
        enabled: if row.get::<_, i64>(4)? == 1 {
            Enabled::Yes
        } else {
            Enabled::No
        },
        permissions: Permissions::parse(&permissions).map_err(damaged)?,
        networks: networks.split_whitespace().map(str::to_owned).collect(),
        comment: row.get(7)?,
        created: At::from_millis(row.get(8)?).unwrap_or(At::MIN),
    })
}

/// The account with this number.
pub(super) fn by_id(db: &Connection, id: AccountId) -> Result<Option<Account>, StoreError> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM account WHERE id = ?1"))
        .and_then(|mut statement| statement.query_row([id.0], account).optional())
        .map_err(refused_or_corrupt)
}

fn find(db: &Connection, condition: &str, value: &str) -> Result<Option<Account>, StoreError> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM account WHERE {condition} = ?1"
    ))
    .and_then(|mut statement| statement.query_row([value], account).optional())
    .map_err(refused_or_corrupt)
}

/// Makes an account; none when its name is taken.
pub(super) fn create(
    db: &Connection,
    new: NewAccount,
) -> Result<(Verdict, Option<Account>), StoreError> {
    let created = db
        .execute(
            "INSERT INTO account (name, client_id, secret_hash, enabled, permissions, networks, \
             comment, created) VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            params![
                new.name,
                new.client_id,
                new.secret_hash,
                new.permissions.words().join(","),
                new.networks.join(" "),
                new.comment,
                new.created.millis()
            ],
        )
        .map_err(refused_or_corrupt)?;
    if created == 0 {
        return Ok((Verdict::Discard, None));
    }
    Ok((Verdict::Keep, find(db, "name", &new.name)?))
}

/// Every account.
pub(super) fn all(db: &Connection) -> Result<Vec<Account>, StoreError> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM account ORDER BY name"))
        .and_then(|mut statement| statement.query_map([], account)?.collect())
        .map_err(refused_or_corrupt)
}

/// The account with this client id.
pub(super) fn by_client_id(db: &Connection, id: &str) -> Result<Option<Account>, StoreError> {
    find(db, "client_id", id)
}

/// Enables or disables; disabling ends every token.
pub(super) fn set_enabled(
    db: &Connection,
    name: &str,
    enabled: Enabled,
) -> Result<(Verdict, Option<Account>), StoreError> {
    let value = i64::from(enabled == Enabled::Yes);
    db.execute(
        "UPDATE account SET enabled = ?2 WHERE name = ?1",
        params![name, value],
    )
    .map_err(refused_or_corrupt)?;
    let account = find(db, "name", name)?;
    if let (Some(account), Enabled::No) = (&account, enabled) {
        end_tokens(db, account.id)?;
    }
    Ok((Verdict::Keep, account))
}

/// Replaces the secret; ends every token.
pub(super) fn renew_secret(
    db: &Connection,
    name: &str,
    secret_hash: [u8; 32],
) -> Result<(Verdict, Option<Account>), StoreError> {
    db.execute(
        "UPDATE account SET secret_hash = ?2 WHERE name = ?1",
        params![name, secret_hash],
    )
    .map_err(refused_or_corrupt)?;
    let account = find(db, "name", name)?;
    if let Some(account) = &account {
        end_tokens(db, account.id)?;
    }
    Ok((Verdict::Keep, account))
}

fn end_tokens(db: &Connection, id: AccountId) -> Result<(), StoreError> {
    db.execute("DELETE FROM token WHERE account = ?1", [id.0])
        .map_err(refused_or_corrupt)?;
    Ok(())
}

/// Keeps a token, and of the account's valid ones only the newest.
pub(super) fn issue_token(
    db: &Connection,
    account: &Account,
    token: TokenHash,
    now: At,
    expires: At,
) -> Result<(Verdict, bool), StoreError> {
    let id = account.id;
    let issue = || -> rusqlite::Result<bool> {
        // The secret that was shown may have been renewed since it was looked at.
        let is_valid = db
            .prepare_cached(
                "SELECT 1 FROM account WHERE id = ?1 AND enabled = 1 AND secret_hash = ?2",
            )?
            .exists(params![id.0, account.secret_hash])?;
        if !is_valid {
            return Ok(false);
        }
        db.prepare_cached("DELETE FROM token WHERE account = ?1 AND expires <= ?2")?
            .execute(params![id.0, now.millis()])?;
        db.prepare_cached("INSERT INTO token (hash, account, expires) VALUES (?1, ?2, ?3)")?
            .execute(params![token.0, id.0, expires.millis()])?;
        db.prepare_cached(
            "DELETE FROM token WHERE account = ?1 AND id NOT IN \
             (SELECT id FROM token WHERE account = ?1 ORDER BY id DESC LIMIT ?2)",
        )?
        .execute(params![id.0, TOKENS_MAX as i64])?;
        Ok(true)
    };
    Ok((Verdict::Keep, issue().map_err(refused_or_corrupt)?))
}

/// The account of a valid token.
pub(super) fn grant(
    db: &Connection,
    token: TokenHash,
    now: At,
) -> Result<Option<(Account, At)>, StoreError> {
    db.prepare_cached(
        "SELECT a.id, a.name, a.client_id, a.secret_hash, a.enabled, a.permissions, a.networks, \
         a.comment, a.created, t.expires FROM token t JOIN account a ON a.id = t.account \
         WHERE t.hash = ?1 AND ?2 < t.expires AND a.enabled = 1",
    )
    .and_then(|mut statement| {
        statement
            .query_row(params![token.0, now.millis()], |row| {
                let expires = At::from_millis(row.get(9)?).unwrap_or(At::MIN);
                Ok((account(row)?, expires))
            })
            .optional()
    })
    .map_err(refused_or_corrupt)
}

/// The link secret, made the first time.
pub(super) fn link_secret(
    db: &Connection,
    fresh: [u8; 32],
) -> Result<(Verdict, [u8; 32]), StoreError> {
    let keep = || -> rusqlite::Result<[u8; 32]> {
        db.execute(
            "INSERT INTO secret VALUES ('link', ?1) ON CONFLICT DO NOTHING",
            params![fresh],
        )?;
        db.query_row("SELECT value FROM secret WHERE name = 'link'", [], |row| {
            row.get(0)
        })
    };
    Ok((Verdict::Keep, keep().map_err(refused_or_corrupt)?))
}
