-- Every session that began from $1 on, a row each. One `xmlagg` around all of them would copy what
-- there is so far for each: that takes time by the square of the answer.
SELECT xmlelement(name session, xmlattributes(s.lsid AS lsid),
    xmlforest(s.session_type, s.lseq),
    xmlelement(name start_time, xmlattributes(s.started AS timestamp), iso(s.started)),
    CASE WHEN s.ended IS NOT NULL THEN
        xmlelement(name end_time, xmlattributes(s.ended AS timestamp), iso(s.ended)) END,
    xmlforest(s.duration),
    CASE WHEN s.site IS NOT NULL THEN xmlelement(name public_site, xmlattributes(s.site AS id), site.name) END,
    CASE WHEN s.jumpoint IS NOT NULL THEN
        xmlelement(name jumpoint, xmlattributes(s.jumpoint AS id), s.jumpoint_name) END,
    xmlforest(s.external_key),
    xmlelement(name custom_attributes, (SELECT xmlagg(xmlelement(name custom_attribute,
        xmlattributes(display_name, code_name), value) ORDER BY n) FROM attribute WHERE session = s.id)),
    xmlforest(s.chat_url || '' AS session_chat_view_url, s.chat_url AS session_chat_download_url,
        s.recording_url || '' AS session_recording_view_url, s.recording_url AS session_recording_download_url),
    (SELECT xmlelement(name show_my_screen_recordings, xmlagg(xmlelement(name show_my_screen_recording,
        xmlattributes(instance), xmlforest(download_url, view_url)) ORDER BY n))
        FROM recording WHERE session = s.id AND kind = 'show_my_screen' HAVING 0 < count(*)),
    (SELECT xmlelement(name command_shell_recordings, xmlagg(xmlelement(name command_shell_recording,
        xmlattributes(instance), xmlforest(download_url, view_url)) ORDER BY n))
        FROM recording WHERE session = s.id AND kind = 'command_shell' HAVING 0 < count(*)),
    xmlforest(s.transfers AS file_transfer_count, s.moves AS file_move_count, s.deletes AS file_delete_count),
    CASE WHEN s.primary_customer IS NOT NULL THEN
        xmlelement(name primary_customer, xmlattributes(s.primary_customer AS gsnumber), s.primary_customer_name) END,
    CASE WHEN s.jump_group IS NOT NULL THEN xmlelement(name jump_group,
        xmlattributes(s.jump_group_type AS type, s.jump_group AS id), s.jump_group_name) END,
    CASE WHEN s.primary_rep IS NOT NULL THEN xmlelement(name primary_rep,
        xmlattributes(s.primary_rep AS gsnumber, s.primary_rep_id AS id), r.display_name) END,
    CASE WHEN s.primary_team IS NOT NULL THEN
        xmlelement(name primary_team, xmlattributes(s.primary_team AS id), t.name) END,
    xmlelement(name customer_list, (SELECT xmlagg(xmlelement(name customer, xmlattributes(gsnumber),
        xmlforest(username, public_ip, private_ip, hostname, os, is_primary::int AS primary_cust),
        xmlelement(name info, xmlforest(c.name, company, company_code, issue, details))) ORDER BY n)
        FROM customer c WHERE session = s.id)),
    xmlelement(name rep_list, (SELECT xmlagg(xmlelement(name representative, xmlattributes(gsnumber, rep AS id),
        xmlforest(username, display_name, public_display_name, private_display_name, display_number,
            public_ip, private_ip, hostname, os, is_owner::int AS session_owner, is_primary::int AS primary_rep,
            is_invited::int AS invited, seconds_involved)) ORDER BY n)
        FROM session_rep JOIN representative ON representative.id = rep WHERE session = s.id)),
    xmlelement(name team_list, (SELECT xmlagg(xmlelement(name team,
        xmlattributes(team AS id, is_primary::int AS primary_team), team.name) ORDER BY n)
        FROM session_team JOIN team ON team.id = team WHERE session = s.id)),
    (SELECT xmlagg(CASE kind WHEN 'cust' THEN xmlelement(name cust_survey_list, list)
        ELSE xmlelement(name rep_survey_list, list) END ORDER BY kind) FROM (
        SELECT kind, xmlagg(CASE kind WHEN 'cust'
            THEN xmlelement(name cust_exit_survey, xmlattributes(gsnumber, at AS timestamp), content)
            ELSE xmlelement(name rep_exit_survey, xmlattributes(gsnumber, at AS timestamp), content) END
            ORDER BY n) list
        FROM (SELECT u.*, xmlconcat(
            xmlelement(name submitted_by, xmlattributes(by_type AS type, by_gsnumber AS gsnumber), by_name),
            xmlelement(name question_list, (SELECT xmlagg(xmlelement(name question, xmlattributes(q.id),
                xmlforest(type, label, q.name, report_header),
                xmlelement(name answer_list, (SELECT xmlagg(xmlelement(name answer, text) ORDER BY a)
                    FROM answer WHERE (session, kind, survey, question) = (u.session, u.kind, u.n, q.q)))) ORDER BY q.q)
                FROM question q WHERE (session, kind, survey) = (u.session, u.kind, u.n)))) content
            FROM survey u WHERE session = s.id) surveys GROUP BY kind) kinds),
    xmlelement(name session_details, (SELECT xmlagg(xmlelement(name event, xmlattributes(at AS timestamp, event_type),
        CASE WHEN by_type IS NOT NULL THEN xmlelement(name performed_by,
            xmlattributes(by_type AS type, by_gsnumber AS gsnumber), by_name) END,
        CASE WHEN to_type IS NOT NULL THEN xmlelement(name destination,
            xmlattributes(to_type AS type, to_gsnumber AS gsnumber), to_name) END,
        xmlforest(body, encoded_body, filename, filesize),
        CASE WHEN has_files THEN xmlelement(name files, (SELECT xmlagg(xmlelement(name file,
            xmlforest(f.filename, f.filesize)) ORDER BY f) FROM event_file f WHERE (session, event) = (s.id, e.n))) END,
        CASE WHEN has_information THEN xmlelement(name system_information, (SELECT xmlagg(xmlelement(name category,
            xmlattributes(c.name),
            xmlelement(name description, (SELECT xmlagg(xmlelement(name field, xmlattributes(id, name), text) ORDER BY f)
                FROM field WHERE (session, event, category) = (s.id, e.n, c.c))),
            xmlelement(name data, (SELECT xmlagg(xmlelement(name row, fields) ORDER BY r) FROM (
                SELECT r, xmlagg(xmlelement(name field, xmlattributes(id, name), cell.text) ORDER BY cell.f) fields
                FROM cell JOIN field USING (session, event, category, f)
                WHERE (session, event, category) = (s.id, e.n, c.c) GROUP BY r) rows))) ORDER BY c.c)
            FROM category c WHERE (session, event) = (s.id, e.n))) END,
        CASE WHEN has_data THEN xmlelement(name data, (SELECT xmlagg(xmlelement(name value,
            xmlattributes(d.name, d.value)) ORDER BY d) FROM event_data d WHERE (session, event) = (s.id, e.n))) END
        ) ORDER BY n) FROM event e WHERE session = s.id))
    )::text
FROM session s
    LEFT JOIN site ON site.id = s.site
    LEFT JOIN team t ON t.id = s.primary_team
    LEFT JOIN representative r ON r.id = s.primary_rep_id
WHERE $1 <= s.started
ORDER BY s.id
