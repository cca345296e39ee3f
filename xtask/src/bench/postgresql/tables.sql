-- What a report shows, normalised as people would: a table for each kind of thing, keys and
-- positions for what belongs to it. `raw` has Debrief's own report, a session a row.
CREATE TABLE site AS
    SELECT DISTINCT ON (1) doc #>> '{public_site,id}' id, doc #>> '{public_site,name}' name
    FROM raw WHERE doc ? 'public_site';
CREATE TABLE team AS
    SELECT DISTINCT ON (1) t ->> 'id' id, t ->> 'name' name
    FROM raw, jsonb_array_elements(doc -> 'team_list') t;
CREATE TABLE representative AS
    SELECT DISTINCT ON (1) r ->> 'id' id, r ->> 'username' username,
        r ->> 'display_name' display_name, r ->> 'public_display_name' public_display_name,
        r ->> 'private_display_name' private_display_name, r ->> 'display_number' display_number
    FROM raw, jsonb_array_elements(doc -> 'rep_list') r;
CREATE TABLE session AS
    SELECT row_number() OVER (ORDER BY (doc ->> 'start_timestamp')::bigint, (doc ->> 'lseq')::int)::int id,
        doc ->> 'lsid' lsid, doc ->> 'session_type' session_type, (doc ->> 'lseq')::int lseq,
        (doc ->> 'start_timestamp')::bigint started, (doc ->> 'end_timestamp')::bigint ended,
        doc ->> 'duration' duration, doc #>> '{public_site,id}' site,
        doc #>> '{jumpoint,id}' jumpoint, doc #>> '{jumpoint,name}' jumpoint_name,
        doc #>> '{jump_group,id}' jump_group, doc #>> '{jump_group,type}' jump_group_type,
        doc #>> '{jump_group,name}' jump_group_name, doc ->> 'external_key' external_key,
        doc ->> 'session_chat_view_url' chat_url, doc ->> 'session_recording_view_url' recording_url,
        (doc ->> 'file_transfer_count')::int transfers, (doc ->> 'file_move_count')::int moves,
        (doc ->> 'file_delete_count')::int deletes,
        (doc #>> '{primary_customer,gsnumber}')::int primary_customer,
        doc #>> '{primary_customer,name}' primary_customer_name,
        (doc #>> '{primary_rep,gsnumber}')::int primary_rep, doc #>> '{primary_rep,id}' primary_rep_id,
        doc #>> '{primary_team,id}' primary_team
    FROM raw;
CREATE TABLE entry AS SELECT session.id, raw.doc FROM raw JOIN session ON session.lsid = doc ->> 'lsid';
CREATE TABLE attribute AS
    SELECT id session, n::int, v ->> 'display_name' display_name, v ->> 'code_name' code_name, v ->> 'value' value
    FROM entry, jsonb_array_elements(doc -> 'custom_attributes') WITH ORDINALITY AS l (v, n);
CREATE TABLE recording AS
    SELECT id session, kind, n::int, (v ->> 'instance')::int instance, v ->> 'download_url' download_url, v ->> 'view_url' view_url
    FROM entry, (VALUES ('show_my_screen'), ('command_shell')) AS k (kind),
        jsonb_array_elements(doc -> (kind || '_recordings')) WITH ORDINALITY AS l (v, n);
CREATE TABLE customer AS
    SELECT id session, n::int, (v ->> 'gsnumber')::int gsnumber, v ->> 'username' username,
        v ->> 'public_ip' public_ip, v ->> 'private_ip' private_ip, v ->> 'hostname' hostname, v ->> 'os' os,
        (v ->> 'primary_cust')::boolean is_primary, v #>> '{info,name}' name, v #>> '{info,company}' company,
        v #>> '{info,company_code}' company_code, v #>> '{info,issue}' issue, v #>> '{info,details}' details
    FROM entry, jsonb_array_elements(doc -> 'customer_list') WITH ORDINALITY AS l (v, n);
CREATE TABLE session_rep AS
    SELECT id session, n::int, (v ->> 'gsnumber')::int gsnumber, v ->> 'id' rep,
        v ->> 'public_ip' public_ip, v ->> 'private_ip' private_ip, v ->> 'hostname' hostname, v ->> 'os' os,
        (v ->> 'session_owner')::boolean is_owner, (v ->> 'primary_rep')::boolean is_primary,
        (v ->> 'invited')::boolean is_invited, (v ->> 'seconds_involved')::int seconds_involved
    FROM entry, jsonb_array_elements(doc -> 'rep_list') WITH ORDINALITY AS l (v, n);
CREATE TABLE session_team AS
    SELECT id session, n::int, v ->> 'id' team, (v ->> 'primary_team')::boolean is_primary
    FROM entry, jsonb_array_elements(doc -> 'team_list') WITH ORDINALITY AS l (v, n);
CREATE TABLE survey AS
    SELECT id session, kind, n::int, (v ->> 'gsnumber')::int gsnumber, (v ->> 'timestamp')::bigint at,
        v #>> '{submitted_by,type}' by_type, (v #>> '{submitted_by,gsnumber}')::int by_gsnumber,
        v #>> '{submitted_by,name}' by_name, v
    FROM entry, (VALUES ('cust'), ('rep')) AS k (kind),
        jsonb_array_elements(doc -> (kind || '_survey_list')) WITH ORDINALITY AS l (v, n);
CREATE TABLE question AS
    SELECT session, kind, n survey, q::int, w ->> 'id' id, w ->> 'type' type, w ->> 'label' label,
        w ->> 'name' name, w ->> 'report_header' report_header, w
    FROM survey, jsonb_array_elements(v -> 'question_list') WITH ORDINALITY AS l (w, q);
CREATE TABLE answer AS
    SELECT session, kind, survey, q question, a::int, text
    FROM question, jsonb_array_elements_text(w -> 'answer_list') WITH ORDINALITY AS l (text, a);
ALTER TABLE survey DROP COLUMN v;
ALTER TABLE question DROP COLUMN w;
CREATE TABLE event AS
    SELECT id session, n::int, (v ->> 'timestamp')::bigint at, v ->> 'event_type' event_type,
        v #>> '{performed_by,type}' by_type, (v #>> '{performed_by,gsnumber}')::int by_gsnumber,
        v #>> '{performed_by,name}' by_name, v #>> '{destination,type}' to_type,
        (v #>> '{destination,gsnumber}')::int to_gsnumber, v #>> '{destination,name}' to_name,
        v ->> 'body' body, v ->> 'encoded_body' encoded_body, v ->> 'filename' filename,
        (v ->> 'filesize')::bigint filesize, v ? 'files' has_files, v ? 'data' has_data,
        v ? 'system_information' has_information
    FROM entry, jsonb_array_elements(doc -> 'session_details') WITH ORDINALITY AS l (v, n);
CREATE TABLE event_data AS
    SELECT id session, n::int event, d::int, w ->> 'name' name, w ->> 'value' value
    FROM entry, jsonb_array_elements(doc -> 'session_details') WITH ORDINALITY AS l (v, n),
        jsonb_array_elements(v -> 'data') WITH ORDINALITY AS m (w, d);
CREATE TABLE event_file AS
    SELECT id session, n::int event, f::int, w ->> 'filename' filename, (w ->> 'filesize')::bigint filesize
    FROM entry, jsonb_array_elements(doc -> 'session_details') WITH ORDINALITY AS l (v, n),
        jsonb_array_elements(v -> 'files') WITH ORDINALITY AS m (w, f);
CREATE TABLE category AS
    SELECT id session, n::int event, c::int, w ->> 'name' name, w
    FROM entry, jsonb_array_elements(doc -> 'session_details') WITH ORDINALITY AS l (v, n),
        jsonb_array_elements(v -> 'system_information') WITH ORDINALITY AS m (w, c);
CREATE TABLE field AS
    SELECT session, event, c category, f::int, x ->> 'id' id, x ->> 'name' name, x ->> 'text' text
    FROM category, jsonb_array_elements(w -> 'description') WITH ORDINALITY AS l (x, f);
CREATE TABLE cell AS
    SELECT session, event, c category, r::int, f::int, text
    FROM category, jsonb_array_elements(w -> 'data') WITH ORDINALITY AS l (x, r),
        jsonb_array_elements_text(x) WITH ORDINALITY AS m (text, f);
ALTER TABLE category DROP COLUMN w;
DROP TABLE raw, entry;
ALTER TABLE site ADD PRIMARY KEY (id);
ALTER TABLE team ADD PRIMARY KEY (id);
ALTER TABLE representative ADD PRIMARY KEY (id);
ALTER TABLE session ADD PRIMARY KEY (id);
CREATE INDEX ON session (started);
ALTER TABLE attribute ADD PRIMARY KEY (session, n);
ALTER TABLE recording ADD PRIMARY KEY (session, kind, n);
ALTER TABLE customer ADD PRIMARY KEY (session, n);
ALTER TABLE session_rep ADD PRIMARY KEY (session, n);
ALTER TABLE session_team ADD PRIMARY KEY (session, n);
ALTER TABLE survey ADD PRIMARY KEY (session, kind, n);
ALTER TABLE question ADD PRIMARY KEY (session, kind, survey, q);
ALTER TABLE answer ADD PRIMARY KEY (session, kind, survey, question, a);
ALTER TABLE event ADD PRIMARY KEY (session, n);
ALTER TABLE event_data ADD PRIMARY KEY (session, event, d);
ALTER TABLE event_file ADD PRIMARY KEY (session, event, f);
ALTER TABLE category ADD PRIMARY KEY (session, event, c);
ALTER TABLE field ADD PRIMARY KEY (session, event, category, f);
ALTER TABLE cell ADD PRIMARY KEY (session, event, category, r, f);
