BEGIN TRANSACTION;
CREATE TABLE accounts (
	id VARCHAR(64) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_accounts PRIMARY KEY (id)
);
INSERT INTO "accounts" VALUES('acme','2026-11-28 09:39:13.092761');
CREATE TABLE deployments (
	id VARCHAR(64) NOT NULL, 
	account VARCHAR(64) NOT NULL, 
	upstream VARCHAR(512) NOT NULL, 
	upstream_key VARCHAR(4096), 
	status VARCHAR(16) NOT NULL, 
	connect FLOAT, 
	first_byte FLOAT, 
	silence FLOAT, 
	connections INTEGER, 
	waiting INTEGER, 
	ping FLOAT, 
	ca_file VARCHAR(1024), 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, queue FLOAT, endpoints VARCHAR(64), 
	CONSTRAINT pk_deployments PRIMARY KEY (id), 
	CONSTRAINT fk_deployments_account FOREIGN KEY(account) REFERENCES accounts (id)
);
INSERT INTO "deployments" VALUES('demo','acme','http://127.0.0.1:9931','my-upstream-key','auto',NULL,NULL,NULL,NULL,NULL,5.0,NULL,'2026-11-28 09:39:17.321433','2026-11-28 09:39:21.642243',12.0,'native');
CREATE TABLE gateway_schema (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT gateway_schema_pkc PRIMARY KEY (version_num)
);
INSERT INTO "gateway_schema" VALUES('0003');
CREATE TABLE keys (
	id VARCHAR(64) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	account VARCHAR(64) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	created_at DATETIME NOT NULL, 
	expires_at DATETIME, 
	revoked_at DATETIME, 
	successor_of VARCHAR(64), 
	CONSTRAINT pk_keys PRIMARY KEY (id), 
	CONSTRAINT uq_keys_digest UNIQUE (digest), 
	CONSTRAINT fk_keys_account FOREIGN KEY(account) REFERENCES accounts (id), 
	CONSTRAINT fk_keys_successor_of FOREIGN KEY(successor_of) REFERENCES keys (id)
);
INSERT INTO "keys" VALUES('key_a8b1b18c6ea4','laptop','acme','9765d4bfd8ed222a47f3c35a05e9d5f177394b5d9644e525e086cdbf6a097488','2026-11-28 09:39:25.583797','2099-11-29 09:39:36.490258',NULL,NULL);
INSERT INTO "keys" VALUES('key_a4003d05d1f6','ci','acme','70dd179b32086d0357fe11de9a5f22983c21ffbf3f9375f30497527d77e2aba2','2026-11-28 09:39:29.764760','2099-01-01 00:00:00.000000',NULL,NULL);
INSERT INTO "keys" VALUES('key_2084e04ac219','laptop','acme','42835826e27f0605b31b0752bc823cd5112cc07c9b8536ce4a28b51c4c5a4aaf','2026-11-28 09:39:36.529512',NULL,NULL,'key_a8b1b18c6ea4');
CREATE TABLE revision (
	id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	CONSTRAINT pk_revision PRIMARY KEY (id), 
	CONSTRAINT ck_revision_single CHECK (id = 1)
);
INSERT INTO "revision" VALUES(1,7);
CREATE INDEX ix_keys_account ON keys (account);
CREATE INDEX ix_deployments_account ON deployments (account);
COMMIT;
