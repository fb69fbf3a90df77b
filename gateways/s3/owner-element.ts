import { type Owner, ownerShape } from './acl.ts';
import { type Markup, NOTHING } from './xml-writer.ts';

/** `<Owner>` or `<Initiator>`; nothing where the answer is not to tell. */
export function ownerElement(name: 'Owner' | 'Initiator', owner: Owner | null): Markup {
  return owner === null ? NOTHING : ownerShape.write(name, owner);
}
