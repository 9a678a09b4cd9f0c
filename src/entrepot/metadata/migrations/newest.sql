CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

INSERT INTO "alembic_version" VALUES('0005');

CREATE TABLE blobs (
	digest TEXT NOT NULL,
	size BIGINT NOT NULL,
	stored_at DOUBLE NOT NULL,
	last_used_at DOUBLE NOT NULL,
	uses BIGINT NOT NULL, priority DOUBLE DEFAULT 0 NOT NULL, upstream TEXT,
	CONSTRAINT pk_blobs PRIMARY KEY (digest)
)
 WITHOUT ROWID
;

CREATE TABLE manifest_blobs (
	manifest_digest TEXT NOT NULL,
	blob_digest TEXT NOT NULL,
	CONSTRAINT pk_manifest_blobs PRIMARY KEY (manifest_digest, blob_digest),
	CONSTRAINT fk_manifest_blobs_manifest_digest_manifests FOREIGN KEY(manifest_digest) REFERENCES manifests (digest) ON DELETE CASCADE
)
 WITHOUT ROWID
;

CREATE TABLE manifest_children (
	manifest_digest TEXT NOT NULL,
	child_digest TEXT NOT NULL, media_type TEXT,
	CONSTRAINT pk_manifest_children PRIMARY KEY (manifest_digest, child_digest),
	CONSTRAINT fk_manifest_children_manifest_digest_manifests FOREIGN KEY(manifest_digest) REFERENCES manifests (digest) ON DELETE CASCADE
)
 WITHOUT ROWID
;

CREATE TABLE manifest_contents (
	manifest_digest TEXT NOT NULL,
	content BLOB NOT NULL,
	CONSTRAINT pk_manifest_contents PRIMARY KEY (manifest_digest),
	CONSTRAINT fk_manifest_contents_manifest_digest_manifests FOREIGN KEY(manifest_digest) REFERENCES manifests (digest) ON DELETE CASCADE
);

CREATE TABLE manifests (
	digest TEXT NOT NULL,
	size BIGINT NOT NULL,
	subject TEXT,
	fetched_at DOUBLE NOT NULL,
	last_used_at DOUBLE NOT NULL,
	uses BIGINT NOT NULL, priority DOUBLE DEFAULT 0 NOT NULL,
	CONSTRAINT pk_manifests PRIMARY KEY (digest)
)
 WITHOUT ROWID
;

CREATE TABLE referrer_listings (
	repository_id INTEGER NOT NULL,
	subject TEXT NOT NULL,
	checked_at DOUBLE NOT NULL,
	content BLOB NOT NULL,
	CONSTRAINT pk_referrer_listings PRIMARY KEY (repository_id, subject),
	CONSTRAINT fk_referrer_listings_repository_id_repositories FOREIGN KEY(repository_id) REFERENCES repositories (id) ON DELETE CASCADE
);

CREATE TABLE repositories (
	id INTEGER NOT NULL,
	upstream TEXT NOT NULL,
	name TEXT NOT NULL,
	path TEXT NOT NULL,
	CONSTRAINT pk_repositories PRIMARY KEY (id),
	CONSTRAINT uq_repositories_upstream_name UNIQUE (upstream, name),
	CONSTRAINT uq_repositories_path UNIQUE (path)
);

CREATE TABLE repository_blobs (
	repository_id INTEGER NOT NULL,
	digest TEXT NOT NULL,
	size BIGINT,
	CONSTRAINT pk_repository_blobs PRIMARY KEY (repository_id, digest),
	CONSTRAINT fk_repository_blobs_repository_id_repositories FOREIGN KEY(repository_id) REFERENCES repositories (id) ON DELETE CASCADE
)
 WITHOUT ROWID
;

CREATE TABLE repository_manifests (
	repository_id INTEGER NOT NULL,
	digest TEXT NOT NULL,
	media_type TEXT NOT NULL,
	CONSTRAINT pk_repository_manifests PRIMARY KEY (repository_id, digest),
	CONSTRAINT fk_repository_manifests_repository_id_repositories FOREIGN KEY(repository_id) REFERENCES repositories (id) ON DELETE CASCADE,
	CONSTRAINT fk_repository_manifests_digest_manifests FOREIGN KEY(digest) REFERENCES manifests (digest) ON DELETE CASCADE
)
 WITHOUT ROWID
;

CREATE TABLE tag_listings (
	repository_id INTEGER NOT NULL,
	checked_at DOUBLE NOT NULL,
	content BLOB NOT NULL,
	CONSTRAINT pk_tag_listings PRIMARY KEY (repository_id),
	CONSTRAINT fk_tag_listings_repository_id_repositories FOREIGN KEY(repository_id) REFERENCES repositories (id) ON DELETE CASCADE
);

CREATE TABLE tags (
	repository_id INTEGER NOT NULL,
	name TEXT NOT NULL,
	digest TEXT NOT NULL,
	checked_at DOUBLE NOT NULL,
	CONSTRAINT pk_tags PRIMARY KEY (repository_id, name),
	CONSTRAINT fk_tags_repository_id_repositories FOREIGN KEY(repository_id) REFERENCES repositories (id) ON DELETE CASCADE
)
 WITHOUT ROWID
;

CREATE TABLE totals (
	id INTEGER NOT NULL,
	blobs BIGINT NOT NULL,
	blob_bytes BIGINT NOT NULL,
	floor DOUBLE NOT NULL,
	CONSTRAINT pk_totals PRIMARY KEY (id)
);

INSERT INTO "totals" VALUES(1,0,0,0.0);

CREATE TABLE upstream_totals (
	upstream TEXT NOT NULL,
	blob_bytes BIGINT NOT NULL,
	CONSTRAINT pk_upstream_totals PRIMARY KEY (upstream)
)
 WITHOUT ROWID
;

CREATE INDEX ix_manifests_last_used_at ON manifests (last_used_at);

CREATE INDEX ix_blobs_last_used_at ON blobs (last_used_at);

CREATE INDEX ix_repository_manifests_digest ON repository_manifests (digest);

CREATE INDEX ix_blobs_priority_last_used_at ON blobs (priority, last_used_at);

CREATE INDEX ix_manifests_priority_last_used_at ON manifests (priority, last_used_at);

CREATE INDEX ix_tags_digest ON tags (digest);

CREATE INDEX ix_repository_blobs_digest ON repository_blobs (digest);

CREATE INDEX ix_manifest_blobs_blob_digest ON manifest_blobs (blob_digest);

CREATE TRIGGER blobs_inserted AFTER INSERT ON blobs BEGIN
        UPDATE totals SET blobs = blobs + 1, blob_bytes = blob_bytes + (new.size + 4095) / 4096 * 4096;
    END;

CREATE TRIGGER blobs_deleted AFTER DELETE ON blobs BEGIN
        UPDATE totals SET blobs = blobs - 1, blob_bytes = blob_bytes - (old.size + 4095) / 4096 * 4096;
    END;

CREATE TRIGGER blobs_resized AFTER UPDATE OF size ON blobs BEGIN
        UPDATE totals SET blob_bytes = blob_bytes
            - (old.size + 4095) / 4096 * 4096 + (new.size + 4095) / 4096 * 4096;
    END;

CREATE INDEX ix_blobs_stored_at ON blobs (stored_at);

CREATE INDEX ix_manifests_fetched_at ON manifests (fetched_at);

CREATE INDEX ix_manifest_children_child_digest ON manifest_children (child_digest);

CREATE INDEX ix_blobs_upstream_priority_last_used_at ON blobs (upstream, priority, last_used_at);

CREATE TRIGGER blobs_charged AFTER INSERT ON blobs BEGIN
    INSERT INTO upstream_totals (upstream, blob_bytes)
    SELECT new.upstream, (new.size + 4095) / 4096 * 4096 WHERE new.upstream IS NOT NULL
    ON CONFLICT (upstream) DO UPDATE SET blob_bytes = blob_bytes + excluded.blob_bytes;
     END;

CREATE TRIGGER blobs_discharged AFTER DELETE ON blobs BEGIN
    UPDATE upstream_totals SET blob_bytes = blob_bytes - (old.size + 4095) / 4096 * 4096
    WHERE upstream = old.upstream;
     END;

CREATE TRIGGER blobs_recharged AFTER UPDATE OF size, upstream ON blobs BEGIN
    UPDATE upstream_totals SET blob_bytes = blob_bytes - (old.size + 4095) / 4096 * 4096
    WHERE upstream = old.upstream;
    INSERT INTO upstream_totals (upstream, blob_bytes)
    SELECT new.upstream, (new.size + 4095) / 4096 * 4096 WHERE new.upstream IS NOT NULL
    ON CONFLICT (upstream) DO UPDATE SET blob_bytes = blob_bytes + excluded.blob_bytes;
     END;
