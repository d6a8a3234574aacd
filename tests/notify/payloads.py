"""Alerts as each system sends them: its documented shape, with values of ours."""

from __future__ import annotations


def alertmanager(status="firing", *, starts="2027-01-15T07:59:30.123Z", **labels):
    """Alertmanager's webhook, version 4."""
    said = {"alertname": "CheckoutErrors", "severity": "page", "job": "shop", **labels}
    return {
        "version": "4",
        "groupKey": '{}/{severity="page"}:{alertname="CheckoutErrors"}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "progflags",
        "groupLabels": {"alertname": "CheckoutErrors"},
        "commonLabels": said,
        "commonAnnotations": {"summary": "checkout fails for one in ten"},
        "externalURL": "http://alertmanager.example.com:9093",
        "alerts": [
            {
                "status": status,
                "labels": said,
                "annotations": {"summary": "checkout fails for one in ten", "runbook_url": "https://example.com/runbook"},
                "startsAt": starts,
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://prometheus.example.com:9090/graph?g0.expr=up",
                "fingerprint": "5ef77f1f8a3ecfc4",
            }
        ],
    }


def grafana(status="firing", **labels):
    """Grafana's alerting webhook."""
    return {
        "receiver": "progflags",
        "status": status,
        "orgId": 1,
        "alerts": [
            {
                "status": status,
                "labels": {"alertname": "Checkout errors", "grafana_folder": "shop", **labels},
                "annotations": {"description": "error rate above 5 %"},
                "startsAt": "2027-01-15T08:59:30.123+01:00",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "https://grafana.example.com/alerting/grafana/x/view",
                "fingerprint": "c6eadffa33fcdf38",
                "silenceURL": "https://grafana.example.com/alerting/silence/new",
                "dashboardURL": "",
                "panelURL": "",
                "values": {"A": 0.07, "C": 1},
            }
        ],
        "groupLabels": {"alertname": "Checkout errors"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "https://grafana.example.com/",
        "version": "1",
        "groupKey": '{}:{alertname="Checkout errors"}',
        "truncatedAlerts": 0,
        "title": "[FIRING:1] Checkout errors",
        "state": "alerting",
        "message": "**Firing**",
    }


def datadog(transition="Triggered", *tags):
    """Datadog's webhook, with the payload that the how-to page gives."""
    return {
        "id": "7701234567890123456",
        "alert_id": "1234",
        "alert_cycle_key": "9bd4ac313a4d1e8fae2482df7b776280",
        "alert_transition": transition,
        "title": f"[{transition}] Checkout errors",
        "tags": ",".join(("env:prod", "monitor", *tags)),
    }


def pagerduty(event_type="incident.triggered", *, service="Checkout", occurred="2027-01-15T08:00:00.000Z"):
    """PagerDuty's webhook, version 3."""
    reference = {"html_url": "https://shop.pagerduty.com/x", "self": "https://api.pagerduty.com/x"}
    return {
        "event": {
            "id": "01EFGH234IJKLM567NOPQ890RS",
            "event_type": event_type,
            "resource_type": "incident",
            "occurred_at": occurred,
            "agent": {**reference, "id": "PUSER01", "summary": "Ann Example", "type": "user_reference"},
            "client": None,
            "data": {
                **reference,
                "id": "Q2ABCDEF3GHIJK",
                "type": "incident",
                "number": 42,
                "status": "triggered",
                "incident_key": "checkout/errors",
                "created_at": occurred,
                "title": "Checkout fails",
                "service": {**reference, "id": "PSERVC1", "summary": service, "type": "service_reference"},
                "assignees": [],
                "priority": None,
                "urgency": "high",
                "teams": [],
            },
        }
    }
