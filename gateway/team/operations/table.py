"""Every operation, once. The admin API's routes, its OpenAPI description and the command line are made from this."""

from types import MappingProxyType

from gateway.team.models import accounts as account_models
from gateway.team.models import activity as activity_models
from gateway.team.models import audit as audit_models
from gateway.team.models import deployments as deployment_models
from gateway.team.models import keys as key_models
from gateway.team.models import limits as limit_models
from gateway.team.models import people as people_models
from gateway.team.models import playground as playground_models
from gateway.team.models import tokens as token_models
from gateway.team.models import usage as usage_models
from gateway.team.models.common import Nothing, Page, PageQuery
from gateway.team.operations import accounts, audit_log, deployments, invitations, keys, people, playground, tokens
from gateway.team.operations.operation import Operation
from gateway.team.operations.traffic import activity, latency, limits, usage

_ACCOUNTS = (
    Operation(
        "accounts.list",
        "GET",
        "/accounts",
        "List accounts.",
        accounts.list_accounts,
        Page[account_models.Account],
        PageQuery,
    ),
    Operation(
        "accounts.create",
        "POST",
        "/accounts",
        "Make an account.",
        accounts.create_account,
        account_models.Account,
        account_models.NewAccount,
        201,
    ),
    Operation(
        "accounts.change",
        "PATCH",
        "/accounts/{account}",
        "Change an account: its share where requests wait.",
        accounts.change_account,
        account_models.Account,
        account_models.AccountChange,
    ),
    Operation(
        "accounts.remove",
        "DELETE",
        "/accounts/{account}",
        "Forget an account that owns nothing.",
        accounts.remove_account,
        account_models.RemovedAccount,
    ),
)
_PEOPLE = (
    Operation(
        "people.list",
        "GET",
        "/people",
        "List people.",
        people.list_people,
        Page[people_models.Person],
        people_models.PersonQuery,
    ),
    Operation("people.get", "GET", "/people/{person}", "Show a person.", people.get_person, people_models.Person),
    Operation(
        "people.change",
        "PATCH",
        "/people/{person}",
        "Change a person.",
        people.change_person,
        people_models.Person,
        people_models.PersonChange,
    ),
    Operation(
        "people.remove",
        "DELETE",
        "/people/{person}",
        "Forget a person and end their sessions; their keys stay.",
        people.remove_person,
        people_models.Person,
    ),
    Operation(
        "people.sign_out",
        "POST",
        "/people/{person}/sign-out",
        "End all sessions of a person.",
        people.sign_out_person,
        Nothing,
        status=204,
    ),
    Operation(
        "people.sessions",
        "GET",
        "/people/{person}/sessions",
        "List where a person is signed in.",
        people.list_sessions,
        Page[people_models.Session],
        PageQuery,
    ),
    Operation(
        "people.password_link",
        "POST",
        "/people/{person}/password-link",
        "Make a link by which a person chooses a new password, once, within a day.",
        invitations.create_password_link,
        people_models.PasswordLink,
        status=201,
    ),
    Operation(
        "invitations.list",
        "GET",
        "/invitations",
        "List invitations that may still be used.",
        invitations.list_invitations,
        Page[people_models.Invitation],
        PageQuery,
        scoped_as="people",
    ),
    Operation(
        "invitations.create",
        "POST",
        "/invitations",
        "Invite somebody: a link that works once, within a day.",
        invitations.create_invitation,
        people_models.CreatedInvitation,
        people_models.NewInvitation,
        201,
        scoped_as="people",
    ),
    Operation(
        "invitations.remove",
        "DELETE",
        "/invitations/{invitation}",
        "Take an invitation back.",
        invitations.remove_invitation,
        people_models.Invitation,
        scoped_as="people",
    ),
)
_KEYS = (
    Operation("keys.list", "GET", "/keys", "List keys.", keys.list_keys, Page[key_models.Key], key_models.KeyQuery),
    Operation(
        "keys.create",
        "POST",
        "/keys",
        "Make a key; its text is in this answer only.",
        keys.create_key,
        key_models.CreatedKey,
        key_models.NewKey,
        201,
    ),
    Operation("keys.get", "GET", "/keys/{key}", "Show a key, without its text.", keys.get_key, key_models.Key),
    Operation(
        "keys.change",
        "PATCH",
        "/keys/{key}",
        "Change a key: its name, limits and expiry, off and on.",
        keys.change_key,
        key_models.Key,
        key_models.KeyChange,
    ),
    Operation(
        "keys.rotate",
        "POST",
        "/keys/{key}/rotate",
        "Make a successor; the old key works on for a while.",
        keys.rotate_key,
        key_models.RotatedKey,
        key_models.KeyRotation,
        201,
    ),
    Operation(
        "keys.revoke",
        "POST",
        "/keys/{key}/revoke",
        "End a key for good.",
        keys.revoke_key,
        key_models.Key,
        key_models.KeyRevocation,
    ),
)
_PLAYGROUND = (
    Operation(
        "playground.key",
        "POST",
        "/playground/keys",
        "Make a key for one deployment that lives for 15 minutes; its text is in this answer only.",
        playground.create_playground_key,
        playground_models.PlaygroundKey,
        playground_models.NewPlaygroundKey,
        201,
        scoped_as="keys",
    ),
    Operation(
        "playground.end",
        "DELETE",
        "/playground/keys/{key}",
        "End such a key before its time.",
        playground.end_playground_key,
        Nothing,
        status=204,
        scoped_as="keys",
    ),
)
_TOKENS = (
    Operation(
        "tokens.list",
        "GET",
        "/tokens",
        "List admin tokens.",
        tokens.list_tokens,
        Page[token_models.AdminToken],
        PageQuery,
    ),
    Operation(
        "tokens.create",
        "POST",
        "/tokens",
        "Make an admin token; its text is in this answer only.",
        tokens.create_token,
        token_models.CreatedToken,
        token_models.NewToken,
        201,
    ),
    Operation(
        "tokens.revoke",
        "POST",
        "/tokens/{token}/revoke",
        "End an admin token for good.",
        tokens.revoke_token,
        token_models.AdminToken,
    ),
)
_DEPLOYMENTS = (
    Operation(
        "deployments.list",
        "GET",
        "/deployments",
        "List deployments.",
        deployments.list_deployments,
        Page[deployment_models.Deployment],
        deployment_models.DeploymentQuery,
    ),
    Operation(
        "deployments.create",
        "POST",
        "/deployments",
        "Make a deployment.",
        deployments.create_deployment,
        deployment_models.Deployment,
        deployment_models.NewDeployment,
        201,
    ),
    Operation(
        "deployments.get",
        "GET",
        "/deployments/{deployment}",
        "Show a deployment.",
        deployments.get_deployment,
        deployment_models.Deployment,
    ),
    Operation(
        "deployments.change",
        "PATCH",
        "/deployments/{deployment}",
        "Change a deployment; answers under way end as they began.",
        deployments.change_deployment,
        deployment_models.Deployment,
        deployment_models.DeploymentChange,
    ),
    Operation(
        "deployments.pause",
        "POST",
        "/deployments/{deployment}/pause",
        "Answer 503 (paused) until it is resumed.",
        deployments.pause_deployment,
        deployment_models.Deployment,
    ),
    Operation(
        "deployments.resume",
        "POST",
        "/deployments/{deployment}/resume",
        "Let its probes decide again whether it is ready.",
        deployments.resume_deployment,
        deployment_models.Deployment,
    ),
    Operation(
        "deployments.remove",
        "DELETE",
        "/deployments/{deployment}",
        "Forget a deployment; answers under way are finished.",
        deployments.remove_deployment,
        deployment_models.Deployment,
    ),
)
_ACTIVITY = (
    Operation(
        "activity.list",
        "GET",
        "/activity",
        "List requests under way, the oldest first, a thousand at most.",
        activity.list_activity,
        Page[activity_models.Activity],
        activity_models.ActivityQuery,
    ),
    Operation(
        "activity.end",
        "POST",
        "/activity/{request}/end",
        "Break a request off, visibly for its client.",
        activity.end_activity,
        activity_models.Activity,
    ),
    Operation(
        "activity.move",
        "POST",
        "/activity/{request}/move",
        "Let a request that waits in line be the next.",
        activity.move_activity,
        activity_models.Activity,
    ),
)
_AUDIT = (
    Operation(
        "audit.list",
        "GET",
        "/audit",
        "Read the audit log, the newest first.",
        audit_log.list_audit,
        Page[audit_models.AuditRow],
        audit_models.AuditQuery,
    ),
)
_USAGE = (
    Operation(
        "usage.get",
        "GET",
        "/usage",
        "Read who used how much.",
        usage.get_usage,
        usage_models.UsageReport,
        usage_models.UsageQuery,
    ),
    Operation(
        "usage.latency",
        "GET",
        "/usage/latency",
        "Read how long what took: the line, the first byte, the whole.",
        latency.get_latency,
        usage_models.LatencyReport,
        usage_models.LatencyQuery,
    ),
)
_LIMITS = (
    Operation(
        "limits.list",
        "GET",
        "/limits",
        "List limits, with what is used and left.",
        limits.list_limits,
        Page[limit_models.Limit],
        limit_models.LimitQuery,
    ),
    Operation(
        "limits.set",
        "POST",
        "/limits",
        "Set a limit on a key, a person or an account, or the amount of one that is set already.",
        limits.set_limit,
        limit_models.Limit,
        limit_models.NewLimit,
    ),
    Operation(
        "limits.change",
        "PATCH",
        "/limits/{limit}",
        "Change a limit.",
        limits.change_limit,
        limit_models.Limit,
        limit_models.LimitChange,
    ),
    Operation(
        "limits.remove",
        "DELETE",
        "/limits/{limit}",
        "Let go of a limit.",
        limits.remove_limit,
        limit_models.Limit,
    ),
)
OPERATIONS = MappingProxyType(
    {
        one.name: one
        for one in (
            *_ACCOUNTS,
            *_PEOPLE,
            *_KEYS,
            *_PLAYGROUND,
            *_TOKENS,
            *_DEPLOYMENTS,
            *_ACTIVITY,
            *_AUDIT,
            *_USAGE,
            *_LIMITS,
        )
    }
)
