// What people write with the generated types: it type-checks as long as the names and shapes of the document hold.
import type { components, operations, paths } from "./orgd";

type Role = components["schemas"]["Role"];
type RoleRequest = components["schemas"]["RoleRequest"];
type PatchedRoleRequest = components["schemas"]["PatchedRoleRequest"];
type ApiError = components["schemas"]["Error"];
type Body<Operation extends { requestBody?: { content: { "application/json": unknown } } }> =
    NonNullable<Operation["requestBody"]>["content"]["application/json"];

const path: keyof paths = "/api/organizations/{organization_id}/roles/";
const created: Body<operations["organizations_roles_create"]> = { name: "Data team" } satisfies RoleRequest;
const changed: Body<operations["organizations_roles_partial_update"]> = {} satisfies PatchedRoleRequest;
type Page = operations["organizations_roles_list"]["responses"][200]["content"]["application/json"];
type Made = operations["organizations_roles_create"]["responses"][201]["content"]["application/json"];
type Refused = operations["organizations_roles_create"]["responses"][400]["content"]["application/json"];
type Actions =
    | operations["organizations_domains_verify"]
    | operations["organizations_batch_exports_pause"]
    | operations["organizations_projects_reset_token"]
    | operations["signup_accept"];

async function everyRole(host: string, key: string): Promise<Role[]> {
    const roles: Role[] = [];
    for (let next: string | null = host + path.replace("{organization_id}", "@current"); next; ) {
        const answer = await fetch(next, { headers: { Authorization: `Bearer ${key}` } });
        if (!answer.ok) throw new Error(((await answer.json()) as ApiError).detail);
        const page: Page = await answer.json();
        roles.push(...page.results);
        next = page.next;
    }
    return roles;
}

export { changed, created, everyRole };
export type { Actions, Made, Refused };
